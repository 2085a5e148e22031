/* Status and error record. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "fmm_status.h"

static void
an_error_records_status_errno_and_words(void)
{
    struct fmm_error error;
    enum fmm_status status =
        fmm_error_set(&error, FMM_ERR_OS, 28, "%s of %d", "one", 2);
    CHECK_EQ(status, FMM_ERR_OS);
    CHECK_EQ(error.status, FMM_ERR_OS);
    CHECK_EQ(error.errnum, 28);
    CHECK(strcmp(error.text, "one of 2") == 0);
}

static void
an_error_need_not_be_recorded(void)
{
    CHECK_EQ(fmm_error_set(NULL, FMM_ERR_FORMAT, 0, "unseen"), FMM_ERR_FORMAT);
}

static void
a_long_text_is_cut_and_ended(void)
{
    struct fmm_error error;
    char words[1000];
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    fmm_error_set(&error, FMM_ERR_FORMAT, 0, "%s", words);
    CHECK_EQ(strlen(error.text), sizeof(error.text) - 1);
}

static void
outcomes_are_positive_and_errors_negative(void)
{
    CHECK(FMM_OK == 0 && FMM_MISS > 0 && FMM_OVERFLOW > 0);
    CHECK(FMM_ERR_ARGUMENT < 0 && FMM_ERR_MEMORY < 0);
}

static const struct check_case cases[] = {
    CASE(an_error_records_status_errno_and_words),
    CASE(an_error_need_not_be_recorded),
    CASE(a_long_text_is_cut_and_ended),
    CASE(outcomes_are_positive_and_errors_negative),
};

CHECK_MAIN(cases)
