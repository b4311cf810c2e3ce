/*
 * The pages of a package index, in HTML (PEP 503) and in JSON (PEP 691): their links led back here,
 * or what they say about one file. Each is a plan's `rewrite`, `find` and `check` (plan.h): without
 * a fact the page is written anew, with one it is read.
 *
 * Links to files become link_base + "HOST/PATH?QUERY#FRAGMENT", HOST and PATH as the page has them;
 * what is not http or https, or has dot segments in any encoding, becomes "about:invalid". A plan
 * that looks for a file has its place in `wanted` (pypi_path.h); besides the file itself a page
 * vouches for what stands beside it (".metadata" when the page says so, ".asc" unless it says no,
 * ".provenance") and for a provenance that it names by URL.
 */
#ifndef YT_PROTOCOL_PYPI_PAGE_H
#define YT_PROTOCOL_PYPI_PAGE_H

#include "plan.h"

/* In `variant`: to be counted up when the result for the same page changes. */
#define PYPI_PAGE_VERSION "1"

/* The list of projects. Its links become "NAME/". */
extern const struct plan_reader pypi_root_page;
/* The files of a project. */
extern const struct plan_reader pypi_project_page;
/* What /pypi/NAME/json answers: urls[].url and releases.*[].url. */
extern const struct plan_reader pypi_release_page;

/* The media types of the first two; pypi_release_page is application/json. */
#define PYPI_JSON "application/vnd.pypi.simple.v1+json"
#define PYPI_HTML "application/vnd.pypi.simple.v1+html"

#endif
