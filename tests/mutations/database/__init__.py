"""Every way in which the suite breaks databases."""

from . import context, objects, rights, roles, rows, users

ALL = rows.MUTATIONS + users.MUTATIONS + objects.MUTATIONS + roles.MUTATIONS + rights.MUTATIONS + context.MUTATIONS
