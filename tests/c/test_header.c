/* The file header: every field is checked, on a private copy. */
#include "support.h"

#include "fmm_hash.h"
#include "fmm_header.h"

static struct fmm_geometry geometry;

static struct fmm_header
make(const char *serializer, const char *compressor)
{
    const struct fmm_options options = {.page_size = 4096,
                                        .num_pages = 3,
                                        .serializer = serializer,
                                        .compressor = compressor};
    struct fmm_header header;
    REQUIRE(fmm_geometry_resolve(&options, &geometry, NULL) == FMM_OK);
    REQUIRE(fmm_header_make(&options, &geometry, 1234567, &header));
    return header;
}

/* As one who forges a header would do: the checksum fits. */
static void
seal(struct fmm_header *header)
{
    static const uint64_t no_seed[2] = {0, 0};
    header->checksum =
        fmm_hash(no_seed, header, offsetof(struct fmm_header, checksum));
}

static enum fmm_status
check(const struct fmm_header *header, struct fmm_error *error)
{
    struct fmm_geometry out;
    return fmm_header_check(header, geometry.file_size, &out, error);
}

static void
a_new_header_is_sound_and_says_what_was_asked(void)
{
    struct fmm_geometry out;
    struct fmm_header header = make("json", "zlib");
    CHECK(fmm_header_is_ours(&header));
    CHECK_EQ(fmm_header_check(&header, geometry.file_size, &out, NULL),
             FMM_OK);
    CHECK_EQ(out.file_size, geometry.file_size);
    CHECK_EQ(out.num_pages, 3);
    CHECK_EQ(out.ring_size[1], geometry.ring_size[1]);
    CHECK(strcmp(header.serializer, "json") == 0);
    CHECK(strcmp(header.compressor, "zlib") == 0);
    CHECK_EQ(header.created_ms, 1234000); /* whole seconds */
    CHECK_EQ(header.retired, 0);
}

static void
no_two_headers_have_one_seed(void)
{
    struct fmm_header one = make(NULL, NULL), two = make(NULL, NULL);
    CHECK(memcmp(one.seed, two.seed, sizeof(one.seed)) != 0);
    CHECK(strcmp(one.serializer, "") == 0);
    CHECK(strcmp(one.compressor, "") == 0);
}

static void
check_refused_as(struct fmm_header *header, enum fmm_status status,
                 const char *word)
{
    struct fmm_error error = {.text = ""};
    CHECK_EQ(check(header, &error), status);
    CHECK_EQ(error.status, status);
    if (!CHECK(strstr(error.text, word) != NULL)) {
        fprintf(stderr, "    %s\n", error.text);
    }
}

static void
check_refused(struct fmm_header *header, const char *word)
{
    check_refused_as(header, FMM_ERR_FORMAT, word);
}

static void
a_file_of_another_kind_or_machine_is_told_apart(void)
{
    struct fmm_header header = make(NULL, NULL);
    header.magic[0] ^= 1;
    seal(&header);
    CHECK(!fmm_header_is_ours(&header));
    check_refused(&header, "not a fastmmap cache file");
    header = make(NULL, NULL);
    header.byte_order = 0x04030201;
    check_refused(&header, "byte order");
    header = make(NULL, NULL);
    header.version = 99;
    check_refused_as(&header, FMM_ERR_VERSION, "version is 99");
    header = make(NULL, NULL);
    header.word_size = 4;
    check_refused(&header, "word size");
    memset(&header, 0, sizeof(header));
    check_refused(&header, "not a fastmmap cache file");
}

/* Each bit of the constant part counts. */
static void
a_flipped_bit_is_refused(void)
{
    const size_t size = offsetof(struct fmm_header, checksum) + 8;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct fmm_header header = make("pickle", "");
        ((unsigned char *)&header)[bit / 8] ^= (unsigned char)(1u << bit % 8);
        bool other = header.version != FMM_VERSION;
        CHECK_EQ(check(&header, NULL),
                 other ? FMM_ERR_VERSION : FMM_ERR_FORMAT);
    }
}

/* Forged geometries, with a fitting checksum. */
static void
check_forged(uint64_t page_size, uint32_t num_pages, uint32_t buckets,
             uint64_t file_size)
{
    struct fmm_header header = make(NULL, NULL);
    header.page_size = page_size;
    header.num_pages = num_pages;
    header.buckets = buckets;
    header.file_size = file_size;
    seal(&header);
    CHECK_EQ(check(&header, NULL), FMM_ERR_FORMAT);
}

static void
a_forged_geometry_is_refused(void)
{
    make(NULL, NULL);
    uint64_t size = geometry.file_size;
    uint32_t buckets = geometry.buckets;
    check_forged(0, 3, buckets, size);
    check_forged(4095, 3, buckets, size);
    check_forged(8192, 3, buckets, size);
    check_forged(UINT64_C(1) << 63, 3, buckets, size);
    check_forged(4096, 0, buckets, size);
    check_forged(4096, 4, buckets, size);
    check_forged(4096, UINT32_MAX, buckets, size);
    check_forged(4096, 3, 0, size);
    check_forged(4096, 3, UINT32_MAX, size);
    check_forged(4096, 3, buckets, size - 1);
    check_forged(4096, 3, buckets, 0);
    check_forged(4096, 3, buckets, UINT64_MAX);
}

static void
other_forged_fields_are_refused(void)
{
    struct fmm_header header = make(NULL, NULL);
    header.header_size = 2048;
    seal(&header);
    check_refused(&header, "damaged");
    header = make(NULL, NULL);
    memset(header.serializer, 'x', FMM_NAME_SIZE);
    seal(&header);
    check_refused(&header, "damaged");
    header = make(NULL, NULL);
    memset(header.compressor, 'x', FMM_NAME_SIZE);
    seal(&header);
    check_refused(&header, "damaged");
}

static void
a_file_of_another_size_is_refused(void)
{
    struct fmm_header header = make(NULL, NULL);
    struct fmm_geometry out;
    CHECK_EQ(fmm_header_check(&header, geometry.file_size - 4096, &out, NULL),
             FMM_ERR_FORMAT);
    CHECK_EQ(fmm_header_check(&header, geometry.file_size + 1, &out, NULL),
             FMM_ERR_FORMAT);
    CHECK_EQ(fmm_header_check(&header, 0, &out, NULL), FMM_ERR_FORMAT);
}

static enum fmm_status
agree(const char *serializer, const char *compressor, uint32_t num_pages,
      struct fmm_error *error)
{
    struct fmm_header header = make("json", "");
    const struct fmm_options options = {.serializer = serializer,
                                        .compressor = compressor,
                                        .num_pages = num_pages};
    return fmm_header_agree(&header, &geometry, &options, error);
}

static void
options_must_agree_with_the_header(void)
{
    struct fmm_error error;
    CHECK_EQ(agree(NULL, NULL, 0, NULL), FMM_OK);
    CHECK_EQ(agree("json", "", 3, NULL), FMM_OK);
    CHECK_EQ(agree("pickle", NULL, 0, &error), FMM_ERR_FORMAT);
    CHECK(strstr(error.text, "json") && strstr(error.text, "pickle"));
    CHECK_EQ(agree("jso", NULL, 0, NULL), FMM_ERR_FORMAT);
    CHECK_EQ(agree(NULL, "zlib", 0, &error), FMM_ERR_FORMAT);
    CHECK(strstr(error.text, "zlib") != NULL);
    CHECK_EQ(agree(NULL, NULL, 4, NULL), FMM_ERR_FORMAT);
}

static const struct check_case cases[] = {
    CASE(a_new_header_is_sound_and_says_what_was_asked),
    CASE(no_two_headers_have_one_seed),
    CASE(a_file_of_another_kind_or_machine_is_told_apart),
    CASE(a_flipped_bit_is_refused),
    CASE(a_forged_geometry_is_refused),
    CASE(other_forged_fields_are_refused),
    CASE(a_file_of_another_size_is_refused),
    CASE(options_must_agree_with_the_header),
};

CHECK_MAIN(cases)
