/*
 * The documents of an npm registry, as a plan's readers (plan.h): in pieces, in memory that does
 * not grow with the document. Pure.
 *
 * All of them refuse (ERR_CORRUPT) what is no JSON object, and what has a `name` that is not the
 * plan's page_name: an upstream's mix-up. Case is no difference, some registries ignore it.
 */
#ifndef YT_PROTOCOL_NPM_PACKUMENT_H
#define YT_PROTOCOL_NPM_PACKUMENT_H

#include "plan.h"

/* Part of the variant of what is written; to be raised when the rewriters write something else. */
#define NPM_REWRITER_VERSION "1"

/*
 * A packument. Written anew (plan_reading's fact is NULL), every versions.*.dist.tarball becomes
 * "<link_base>/<page_name>/-/<file>" with the file's name that clients derive from the version
 * (npm_add_file). A version that cannot stand in one keeps the name that its file has upstream;
 * without that, the link becomes "about:invalid". All other bytes go through as they are.
 *
 * As a finder: the plan's `wanted` file is where the version says of which clients derive that
 * name, else the one whose dist.tarball ends in it. The digest is dist.integrity, else dist.shasum.
 * What is no http or https URL, has dot segments in any encoding, or is on a host that the plan's
 * config does not allow, is foreign.
 */
extern const struct plan_reader npm_packument_reader;

/*
 * The document of one version, with `dist` at its top. As long as its `version` has not come, the
 * tarball keeps the name that it has upstream.
 */
extern const struct plan_reader npm_version_reader;

/* Any JSON object, whatever is in it: only to be checked. */
extern const struct plan_reader npm_object_reader;

#endif
