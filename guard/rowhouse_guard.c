// Signed tenant contexts, checked in C: guard/README.md has the contract.
//
// All state is memory of this backend. Nothing of it can be reached by SQL but through the functions below,
// and no statement resets it: neither ROLLBACK nor DISCARD nor RESET.
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#ifdef USE_OPENSSL
#include <openssl/evp.h>
#else
#include "common/cryptohash.h"
#endif
#include "common/sha2.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "rowhouse_guard needs PostgreSQL 15 or later"
#endif

// Everything else is hidden (-fvisibility=hidden).
#pragma GCC visibility push(default)
PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(rowhouse_context_number);
PG_FUNCTION_INFO_V1(rowhouse_set_next_context);
PG_FUNCTION_INFO_V1(rowhouse_tenant_id);
PG_FUNCTION_INFO_V1(rowhouse_principal_id);
PG_FUNCTION_INFO_V1(rowhouse_principal_role);
PG_FUNCTION_INFO_V1(rowhouse_context_keys_changed);
#pragma GCC visibility pop

#define KEY_BYTES 64
#define MESSAGE_BYTES 145
// "rowhouse_context_", and in hexadecimal tenant, principal and role.
#define CLAIMS_PREFIX "rowhouse_context_"
#define CLAIMS_PREFIX_BYTES 17
#define CLAIMS_BYTES (CLAIMS_PREFIX_BYTES + 2 * (2 * UUID_LEN + 4))
// While one key follows the other there are two. More than this are not looked at.
#define MAX_KEYS 32
// A change may come while the keys are being read.
#define MAX_READS 2
// Sessions begin to count anywhere below this, and cannot reach the end of 63 bits.
#define FIRST_NUMBERS ((uint64)1 << 62)

typedef struct Key {
  int32 id;
  uint8 bytes[KEY_BYTES];
} Key;

// The keys as last read; count is 0 when they have to be read again.
static struct {
  int count;
  Oid table;
  uint64 changes;  // invalidations seen, to notice one that comes while reading
  bool watching;
  Key keys[MAX_KEYS];
} cache;

// The context of the transaction whose local id is `transaction`. That of another transaction is none.
static struct {
  LocalTransactionId transaction;
  pg_uuid_t tenant;
  pg_uuid_t principal;
  int32 role;
} context;

// The number of this session's last context. Where a session begins is random, so no other one has its
// numbers, not even one that later gets the same process id.
static int64 last_number = 0;

static int64 next_number(void) {
  if (last_number == 0) {
    uint64 random;
    if (!pg_strong_random(&random, sizeof(random)))
      ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    last_number = (int64)(random % FIRST_NUMBERS);
  }
  return ++last_number;
}

static LocalTransactionId this_transaction(void) {
#if PG_VERSION_NUM >= 170000
  return MyProc->vxid.lxid;
#else
  return MyProc->lxid;
#endif
}

static bool has_context(void) {
  return LocalTransactionIdIsValid(context.transaction) && context.transaction == this_transaction();
}

static void forget_keys(void) {
  explicit_bzero(cache.keys, sizeof(cache.keys));
  cache.count = 0;
}

// A commit that changed the table of keys, here or in another backend (see rowhouse_context_keys_changed).
static void table_changed(Datum argument, Oid table) {
  (void)argument;
  if (table != InvalidOid && table != cache.table) return;
  forget_keys();
  cache.changes++;
}

// Reads rowhouse.context_keys as of now, whatever the isolation of the transaction, and without asking
// whether the current role may: it may not.
static void read_keys(void) {
  Oid schema = get_namespace_oid("rowhouse", true);
  Oid table = OidIsValid(schema) ? get_relname_relid("context_keys", schema) : InvalidOid;
  Relation relation;
  Snapshot snapshot;
  TableScanDesc scan;
  TupleTableSlot* slot;
  uint64 changes;
  int count = 0;

  if (!cache.watching) {
    CacheRegisterRelcacheCallback(table_changed, (Datum)0);
    cache.watching = true;
  }
  forget_keys();
  if (!OidIsValid(table)) return;
  cache.table = table;
  relation = table_open(table, AccessShareLock);
  if (relation->rd_rel->relkind != RELKIND_RELATION || RelationGetDescr(relation)->natts < 2 ||
      TupleDescAttr(RelationGetDescr(relation), 0)->atttypid != INT4OID ||
      TupleDescAttr(RelationGetDescr(relation), 1)->atttypid != BYTEAOID) {
    table_close(relation, AccessShareLock);
    return;
  }
  changes = cache.changes;
  snapshot = RegisterSnapshot(GetLatestSnapshot());
  slot = table_slot_create(relation, NULL);
  scan = table_beginscan(relation, snapshot, 0, NULL);
  while (count < MAX_KEYS && table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
    bool no_id, no_key;
    Datum id = slot_getattr(slot, 1, &no_id);
    Datum key = slot_getattr(slot, 2, &no_key);
    bytea* bytes;
    if (no_id || no_key) continue;
    bytes = DatumGetByteaPP(key);
    if (VARSIZE_ANY_EXHDR(bytes) != KEY_BYTES) continue;
    cache.keys[count].id = DatumGetInt32(id);
    memcpy(cache.keys[count].bytes, VARDATA_ANY(bytes), KEY_BYTES);
    count++;
  }
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  UnregisterSnapshot(snapshot);
  table_close(relation, AccessShareLock);
  cache.count = changes == cache.changes ? count : 0;
}

static const Key* find_key(int32 id) {
  for (int attempt = 0; attempt <= MAX_READS; ++attempt) {
    for (int i = 0; i < cache.count; ++i) {
      if (cache.keys[i].id == id) return &cache.keys[i];
    }
    if (attempt < MAX_READS) read_keys();
  }
  return NULL;
}

static uint8* put_int64(uint8* to, int64 value) {
  uint64 big_endian = pg_hton64((uint64)value);
  memcpy(to, &big_endian, sizeof(big_endian));
  return to + sizeof(big_endian);
}

static uint8* put_int32(uint8* to, int32 value) {
  uint32 big_endian = pg_hton32((uint32)value);
  memcpy(to, &big_endian, sizeof(big_endian));
  return to + sizeof(big_endian);
}

// The message is what record_send() makes of (claims text, expires_at timestamptz, number int8,
// backend int4).
static uint8* put_column(uint8* to, Oid type, int32 bytes) {
  return put_int32(put_int32(to, (int32)type), bytes);
}

static void make_message(uint8* message, const uint8* claims, TimestampTz expires_at, int64 number) {
  uint8* end = put_column(put_int32(message, 4), TEXTOID, CLAIMS_BYTES);
  memcpy(end, claims, CLAIMS_BYTES);
  end = put_int64(put_column(end + CLAIMS_BYTES, TIMESTAMPTZOID, 8), expires_at);
  end = put_int64(put_column(end, INT8OID, 8), number);
  end = put_int32(put_column(end, INT4OID, 4), MyProcPid);
  Assert(end == message + MESSAGE_BYTES);
}

static int digit_value(uint8 digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

static bool read_hexadecimal(uint8* to, const uint8* digits, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    int high = digit_value(digits[2 * i]);
    int low = digit_value(digits[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    to[i] = (uint8)(high << 4 | low);
  }
  return true;
}

// PostgreSQL's own wrapper looks the algorithm up in OpenSSL each time, which takes longer than the hash.
static void sign(const Key* key, const uint8* message, uint8* mac) {
#ifdef USE_OPENSSL
  static EVP_MD* algorithm = NULL;
  static EVP_MD_CTX* hash = NULL;
  if (algorithm == NULL) algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
  if (hash == NULL) hash = EVP_MD_CTX_new();
  if (algorithm == NULL || hash == NULL || EVP_DigestInit_ex(hash, algorithm, NULL) != 1 ||
      EVP_DigestUpdate(hash, key->bytes, KEY_BYTES) != 1 ||
      EVP_DigestUpdate(hash, message, MESSAGE_BYTES) != 1 || EVP_DigestFinal_ex(hash, mac, NULL) != 1) {
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg("the tenant context cannot be checked: no SHA-256"));
  }
#else
  // An error releases the hash.
  pg_cryptohash_ctx* hash = pg_cryptohash_create(PG_SHA256);
  if (hash == NULL || pg_cryptohash_init(hash) < 0 || pg_cryptohash_update(hash, key->bytes, KEY_BYTES) < 0 ||
      pg_cryptohash_update(hash, message, MESSAGE_BYTES) < 0 ||
      pg_cryptohash_final(hash, mac, PG_SHA256_DIGEST_LENGTH) < 0) {
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg("the tenant context cannot be checked: no SHA-256"));
  }
  pg_cryptohash_free(hash);
#endif
}

// In a time that says nothing about where the difference is.
static bool same_mac(const uint8* a, const uint8* b) {
  volatile uint8 difference = 0;
  for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

static void refuse(void) __attribute__((noreturn));
static void refuse(void) {
  ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("the tenant context is not valid"));
}

Datum rowhouse_context_number(PG_FUNCTION_ARGS) { PG_RETURN_INT64(next_number()); }

// Whoever calls this with anything wrong uses up a number, and so has lost count. (Not the name under which
// other arguments were taken once: a backend may still have that library loaded.)
Datum rowhouse_set_next_context(PG_FUNCTION_ARGS) {
  uint8 message[MESSAGE_BYTES];
  uint8 expected[PG_SHA256_DIGEST_LENGTH];
  uint8 claimed[2 * UUID_LEN + 4];
  uint32 role;
  const Key* key;
  const uint8* claims_bytes;
  text* claims;
  bytea* mac;
  TimestampTz expires_at;

  for (int i = 0; i < 4; ++i) {
    if (PG_ARGISNULL(i)) refuse();
  }
  claims = PG_GETARG_TEXT_PP(1);
  expires_at = PG_GETARG_TIMESTAMPTZ(2);
  mac = PG_GETARG_BYTEA_PP(3);
  AcceptInvalidationMessages();  // a key may have been retired since this transaction began
  key = find_key(PG_GETARG_INT32(0));
  if (key == NULL || VARSIZE_ANY_EXHDR(mac) != PG_SHA256_DIGEST_LENGTH ||
      VARSIZE_ANY_EXHDR(claims) != CLAIMS_BYTES)
    refuse();
  claims_bytes = (const uint8*)VARDATA_ANY(claims);
  if (memcmp(claims_bytes, CLAIMS_PREFIX, CLAIMS_PREFIX_BYTES) != 0 ||
      !read_hexadecimal(claimed, claims_bytes + CLAIMS_PREFIX_BYTES, sizeof(claimed)))
    refuse();

  make_message(message, claims_bytes, expires_at, next_number());
  sign(key, message, expected);
  if (!same_mac(expected, (const uint8*)VARDATA_ANY(mac))) refuse();
  if (expires_at < GetCurrentTimestamp()) {
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("the tenant context has expired"),
            errhint("It may have waited too long, or the clocks of the servers differ."));
  }
  if (has_context()) {
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("a tenant context is already set in this transaction"));
  }
  memcpy(context.tenant.data, claimed, UUID_LEN);
  memcpy(context.principal.data, claimed + UUID_LEN, UUID_LEN);
  memcpy(&role, claimed + 2 * UUID_LEN, sizeof(role));
  context.role = (int32)pg_ntoh32(role);
  context.transaction = this_transaction();
  PG_RETURN_VOID();
}

static Datum copy_of(const pg_uuid_t* id) {
  pg_uuid_t* copy = palloc(sizeof(pg_uuid_t));
  *copy = *id;
  PG_RETURN_UUID_P(copy);
}

Datum rowhouse_tenant_id(PG_FUNCTION_ARGS) {
  if (!has_context()) PG_RETURN_NULL();
  return copy_of(&context.tenant);
}

Datum rowhouse_principal_id(PG_FUNCTION_ARGS) {
  if (!has_context()) PG_RETURN_NULL();
  return copy_of(&context.principal);
}

Datum rowhouse_principal_role(PG_FUNCTION_ARGS) {
  if (!has_context()) PG_RETURN_NULL();
  PG_RETURN_INT32(context.role);
}

// A trigger on rowhouse.context_keys: when the changing transaction commits, every backend forgets its keys
// before its next transaction begins. So a retired key is refused at once.
Datum rowhouse_context_keys_changed(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
            errmsg("this function is for a trigger"));
  }
  CacheInvalidateRelcache(((TriggerData*)fcinfo->context)->tg_relation);
  PG_RETURN_POINTER(NULL);  // a trigger must not call its result null
}
