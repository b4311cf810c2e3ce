/*
 * The checks of a registry's answers before they are stored: is a complete body what its resource
 * must be? Both are a plan's `inspect` (plan.h): pure, on a background thread, nothing is kept.
 * ERR_CORRUPT when it is not, also when memory is out.
 */
#ifndef YT_PROTOCOL_OCI_BODY_H
#define YT_PROTOCOL_OCI_BODY_H

#include "base/err.h"
#include "base/slice.h"

/*
 * An image manifest or an index: an object with schemaVersion 2 whose mediaType, when there is one,
 * is that of the Content-Type, parameters aside.
 */
YT_MUST_CHECK enum err oci_inspect_manifest(struct slice body, struct slice content_type);

/* An object with one list of tags, which may be null; the Content-Type is not looked at. */
YT_MUST_CHECK enum err oci_inspect_tags(struct slice body, struct slice content_type);

#endif
