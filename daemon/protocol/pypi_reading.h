/* What the readers of the two formats share; private to them (see pypi_page.h). */
#ifndef YT_PROTOCOL_PYPI_READING_H
#define YT_PROTOCOL_PYPI_READING_H

#include "html_splice.h"
#include "http/url.h"
#include "json_splice.h"
#include "pypi_page.h"
#include "pypi_path.h"

enum pypi_kind { PYPI_KIND_ROOT, PYPI_KIND_PROJECT, PYPI_KIND_RELEASE };

enum pypi_offer { OFFER_UNKNOWN, OFFER_NO, OFFER_YES };

/* What a page says about one file; slices live until the next file begins. */
struct pypi_file {
    struct slice url;        /* absolute; p == NULL: none that is usable */
    struct slice provenance; /* the same */
    struct digest digest;
    bool has_size;
    uint64_t size;
    enum pypi_offer metadata;
    struct digest metadata_digest;
    enum pypi_offer signature;
};

/* Where the walk over a JSON page stands. */
struct pypi_walk {
    enum { SECTION_OTHER, SECTION_META, SECTION_FILES } section;
    unsigned file_depth; /* of a file's object */
    bool in_file;
    bool has_url;
    enum { PART_OTHER, PART_HASHES, PART_METADATA } part; /* of a file */
    unsigned lists; /* how many of what makes it a page of this kind */
};

enum { PYPI_SCRATCH_FIRST = 16 * 1024 };

struct pypi_reading {
    const struct plan_reading *of;
    enum pypi_kind kind;
    struct arena kept; /* texts for the whole page */
    struct http_url base;
    bool has_base;  /* a <base> has set it */
    bool has_links; /* one was read already */
    /* What is looked for: its place, and that of the file beside which it would stand. */
    struct slice wanted;
    struct slice wanted_file;
    enum pypi_beside beside;
    bool found_itself;
    struct pypi_file file;
    struct pypi_walk walk;
    struct html_splice *html;
    struct json_splice *json; /* one of the two */
    struct buf text;          /* a decoded attribute */
    struct arena scratch;     /* for one link or file */
    char scratch_first[PYPI_SCRATCH_FIRST];
};

/* Resets the scratch arena and the file. */
void pypi_begin_file(struct pypi_reading *r);
/* The absolute URL, in the scratch arena; p == NULL: not http or https, or with dot segments. */
struct slice pypi_absolute(struct pypi_reading *r, struct slice reference);
/*
 * What stands in place of the reference, in the scratch arena; p == NULL: it stays as it is. A
 * reference to the page itself does.
 */
struct slice pypi_link(struct pypi_reading *r, struct slice reference);
/* Takes the hash if it is better than what is there. */
void pypi_note_digest(struct digest *best, struct slice algorithm, struct slice hex);
/* ERR_CORRUPT unless it is "1" or "1.x": others may mean anything. */
YT_MUST_CHECK enum err pypi_check_version(struct slice version);
/* The file is complete: is it what is looked for? ERR_NOMEM. */
YT_MUST_CHECK enum err pypi_end_file(struct pypi_reading *r);

/* The callbacks of the two splices; `arg` is the reading. */
enum err pypi_html_tag(void *arg, const struct html_tag *tag, struct html_edit *edit);
enum err pypi_json_event(void *arg, const struct json_event *event, struct slice *other);
/* The page is complete: was it one of its kind? */
YT_MUST_CHECK enum err pypi_json_end(const struct pypi_reading *r);

#endif
