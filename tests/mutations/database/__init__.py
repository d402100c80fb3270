"""Every way in which the suite breaks databases."""

from . import context, objects, rights, roles, rows

ALL = rows.MUTATIONS + objects.MUTATIONS + roles.MUTATIONS + rights.MUTATIONS + context.MUTATIONS
