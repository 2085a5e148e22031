#include "fmm_header.h"

#include <inttypes.h>

#include "fmm_hash.h"
#include "fmm_process.h"
#include "fmm_seal.h"

static uint64_t
checksum(const struct fmm_header *header)
{
    static const uint64_t no_seed[2] = {0, 0};
    return fmm_hash(no_seed, header, offsetof(struct fmm_header, checksum));
}

/* Bounded, and the rest of `to` stays zero. */
static void
copy_name(char *to, const char *name)
{
    if (name != NULL) {
        memcpy(to, name, fmm_min(strlen(name), FMM_NAME_SIZE - 1));
    }
}

bool
fmm_header_make(const struct fmm_options *options,
                const struct fmm_geometry *geometry, uint64_t now_ms,
                struct fmm_header *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->magic, FMM_MAGIC, FMM_MAGIC_SIZE);
    out->version = FMM_VERSION;
    out->byte_order = FMM_BYTE_ORDER;
    out->word_size = sizeof(void *);
    out->header_size = FMM_HEADER_SIZE;
    out->file_size = geometry->file_size;
    out->page_size = geometry->page_size;
    out->num_pages = geometry->num_pages;
    out->buckets = geometry->buckets;
    out->sealed = geometry->seal_size != 0 ? 1 : 0;
    out->sparse = options->sparse ? 1 : 0;
    /* Whole seconds: times are kept as seconds since this. */
    out->created_ms = now_ms / 1000 * 1000;
    copy_name(out->serializer, options->serializer);
    copy_name(out->compressor, options->compressor);
    bool random = fmm_process_random(out->seed, sizeof(out->seed));
    out->checksum = checksum(out);
    return random;
}

void
fmm_header_follow(struct fmm_header *header, const struct fmm_header *like)
{
    memcpy(header->seed, like->seed, sizeof(header->seed));
    header->created_ms = like->created_ms;
    memcpy(header->serializer, like->serializer, FMM_NAME_SIZE);
    memcpy(header->compressor, like->compressor, FMM_NAME_SIZE);
    header->checksum = checksum(header);
}

bool
fmm_header_is_ours(const struct fmm_header *header)
{
    return memcmp(header->magic, FMM_MAGIC, FMM_MAGIC_SIZE) == 0;
}

static enum fmm_status
wrong(struct fmm_error *error, const char *what, uint64_t found,
      uint64_t expected)
{
    return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                         "%s is %" PRIu64 ", expected %" PRIu64
                         ": remove the file, or replace it with "
                         "init_file=True",
                         what, found, expected);
}

bool
fmm_header_is_older(const struct fmm_header *header)
{
    return fmm_header_is_ours(header) &&
           header->byte_order == FMM_BYTE_ORDER && header->version != 0 &&
           header->version < FMM_VERSION;
}

static enum fmm_status
refuse_version(const struct fmm_header *header, struct fmm_error *error)
{
    const char *advice =
        fmm_header_is_older(header)
            ? "remove the file, or replace it with init_file=True"
            : "a newer fastmmap made it: upgrade this one, give another path, "
              "or remove the file when nobody uses it";
    return fmm_error_set(error, FMM_ERR_VERSION, 0,
                         "the format version is %" PRIu32 ", expected %u: %s",
                         header->version, FMM_VERSION, advice);
}

static enum fmm_status
check_machine(const struct fmm_header *header, struct fmm_error *error)
{
    if (!fmm_header_is_ours(header)) {
        return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                             "not a fastmmap cache file (its first bytes "
                             "are others); it is left alone: give another "
                             "path, or remove it");
    }
    if (header->byte_order != FMM_BYTE_ORDER) {
        return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                             "written by a machine of another byte order");
    }
    if (header->version != FMM_VERSION) {
        return refuse_version(header, error);
    }
    if (header->word_size != sizeof(void *)) {
        return wrong(error, "the word size of the machine that wrote it",
                     header->word_size, sizeof(void *));
    }
    return FMM_OK;
}

static bool
name_is_sound(const char *name)
{
    return memchr(name, '\0', FMM_NAME_SIZE) != NULL;
}

enum fmm_status
fmm_header_check(const struct fmm_header *header, uint64_t file_size,
                 struct fmm_geometry *geometry_out, struct fmm_error *error)
{
    enum fmm_status status = check_machine(header, error);
    if (status != FMM_OK) {
        return status;
    }
    if (header->checksum != checksum(header) ||
        header->header_size != FMM_HEADER_SIZE ||
        !name_is_sound(header->serializer) ||
        !name_is_sound(header->compressor) ||
        !fmm_geometry_layout(header->page_size, header->num_pages,
                             header->buckets, geometry_out) ||
        geometry_out->file_size != header->file_size || header->sealed > 1) {
        return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                             "the header is damaged: remove the file, or "
                             "replace it with init_file=True");
    }
    if (file_size != header->file_size) {
        return wrong(error, "the file's size", file_size, header->file_size);
    }
    if (header->sealed) {
        fmm_seal_use(geometry_out, header->seed);
    }
    return FMM_OK;
}

static enum fmm_status
compare_name(const char *what, const char *file, const char *asked,
             struct fmm_error *error)
{
    if (asked == NULL || strcmp(file, asked) == 0) {
        return FMM_OK;
    }
    return fmm_error_set(error, FMM_ERR_FORMAT, 0,
                         "the file has %s \"%s\", but \"%s\" was asked for",
                         what, file, asked);
}

enum fmm_status
fmm_header_agree(const struct fmm_header *header,
                 const struct fmm_geometry *geometry,
                 const struct fmm_options *options, struct fmm_error *error)
{
    enum fmm_status status = fmm_geometry_agree(options, geometry, error);
    if (status == FMM_OK && !options->serializer_follows) {
        status = compare_name("serializer", header->serializer,
                              options->serializer, error);
    }
    if (status == FMM_OK && !options->compressor_follows) {
        status = compare_name("compressor", header->compressor,
                              options->compressor, error);
    }
    return status;
}
