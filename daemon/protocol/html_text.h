/* Text in the attributes of HTML: character references. Pure. */
#ifndef YT_PROTOCOL_HTML_TEXT_H
#define YT_PROTOCOL_HTML_TEXT_H

#include "base/buf.h"

/*
 * Appends what an attribute's value means: numeric character references, and the names of the
 * characters of ASCII; other names stay as they are written.
 */
void html_decode(struct slice value, struct buf *out);
/* Appends the text as it stands in a quoted attribute. */
void html_encode(struct slice text, struct buf *out);

#endif
