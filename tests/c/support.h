/* What many tests of the core need: scratch files, caches, short forms of
 * the operations, child processes. */
#pragma once

#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "fmm.h"
#include "fmm_file.h"
#include "fmm_page.h"

#define SECOND UINT64_C(1000) /* of call.now_ms */

/* What the short forms pass on. Its clock starts at the present and is
 * moved by tests. */
extern struct fmm_call call;

/* A lock word that names a client that is gone. */
uint64_t dead_owner(void);

/* A path in this program's own directory, which goes with the program. */
const char *scratch(const char *name);
bool path_exists(const char *path);
/* Directory entries of the scratch directory that begin with `name`. */
unsigned count_files(const char *name);
/* Copy a file byte by byte. */
void copy_file(const char *from, const char *to);
/* Overwrite `length` bytes of a file at `offset`. */
void poke_file(const char *path, uint64_t offset, const void *bytes,
               size_t length);

/* A new cache of such pages (bytes) in the scratch file "cache". */
struct fmm_cache *new_cache(uint64_t page_size, uint32_t num_pages);
/* Open what must open. */
struct fmm_cache *open_cache(const struct fmm_options *options);
/* Open that file, which exists. */
struct fmm_cache *open_path(const char *path);

/* A cache in malloc'ed memory of exactly its size: what is touched beyond
 * it, AddressSanitizer sees. */
struct fmm_cache *heap_cache(uint64_t page_size, uint32_t num_pages,
                             uint32_t buckets);
void heap_cache_free(struct fmm_cache *cache);
/* Let ring M have no bytes to give in this process: the index cannot grow, and
 * slots can run out. */
void keep_index(struct fmm_cache *cache);
void view_page(struct fmm_cache *cache, uint32_t number,
               struct fmm_page *page_out);

/* A numbered key of eight bytes; the text stays until the next call. */
const char *name_of(char kind, unsigned n);

/* A key, or value, of text. */
struct fmm_key text_key(const struct fmm_cache *cache, const char *text);
struct fmm_value text_value(const char *text);

enum fmm_status set_text(struct fmm_cache *cache, const char *key,
                         const char *value);
enum fmm_status set_text_as(struct fmm_cache *cache, const char *key,
                            const char *value,
                            const struct fmm_store_options *store);
/* `length` bytes of which each can be told from the key; see is_filler(). */
enum fmm_status set_filler(struct fmm_cache *cache, const char *key,
                           size_t length);
bool is_filler(struct fmm_cache *cache, const char *key, size_t length);
/* Whether the key holds that text; whether it is there at all. */
bool holds(struct fmm_cache *cache, const char *key, const char *value);
bool has(struct fmm_cache *cache, const char *key);
enum fmm_status remove_text(struct fmm_cache *cache, const char *key);

/* Take a lease that is no lock, and give it back. */
enum fmm_status take_lease(struct fmm_cache *cache, const struct fmm_key *key,
                           uint64_t ms, bool refresh, struct fmm_lease *lease,
                           struct fmm_ticket *ticket);
enum fmm_status end_lease(struct fmm_cache *cache, const struct fmm_key *key,
                          uint64_t token);

/* How many values of keys of no namespace a scan of a page shows. */
uint64_t count_values(struct fmm_cache *cache, const struct fmm_call *when,
                      uint32_t page);

/* Every page sound; with `counted`, its counters exact too. */
void check_pages(struct fmm_cache *cache, bool counted);
struct fmm_stats stats_of(const struct fmm_cache *cache);

/* Run `body` in a child, which dies with this process; it fails when the
 * child notes failures. */
pid_t spawn(void (*body)(void *), void *argument);
void join(pid_t child);
void kill_child(pid_t child); /* SIGKILL, and wait for it */
void sleep_ms(unsigned ms);

/* Words that parent and children share. */
fmm_word64 *shared_words(size_t count);
void free_words(fmm_word64 *words, size_t count);
