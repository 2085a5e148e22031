/* Where the files of tests/golden are. */
#pragma once

/* The path of a file there. */
const char *golden_path(const char *name);
