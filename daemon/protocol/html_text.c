#include "html_text.h"

enum { REFERENCE_MAX = 8, CODE_POINT_LAST = 0x10ffff, REPLACEMENT = 0xfffd };

static const struct {
    struct slice name;
    char c;
} references[] = {
    {SLICE("amp"), '&'},    {SLICE("quot"), '"'},     {SLICE("apos"), '\''},
    {SLICE("lt"), '<'},     {SLICE("gt"), '>'},       {SLICE("AMP"), '&'},
    {SLICE("QUOT"), '"'},   {SLICE("LT"), '<'},       {SLICE("GT"), '>'},
    {SLICE("Tab"), '\t'},   {SLICE("NewLine"), '\n'}, {SLICE("excl"), '!'},
    {SLICE("num"), '#'},    {SLICE("dollar"), '$'},   {SLICE("percnt"), '%'},
    {SLICE("lpar"), '('},   {SLICE("rpar"), ')'},     {SLICE("ast"), '*'},
    {SLICE("plus"), '+'},   {SLICE("comma"), ','},    {SLICE("period"), '.'},
    {SLICE("sol"), '/'},    {SLICE("colon"), ':'},    {SLICE("semi"), ';'},
    {SLICE("equals"), '='}, {SLICE("quest"), '?'},    {SLICE("commat"), '@'},
    {SLICE("lsqb"), '['},   {SLICE("lbrack"), '['},   {SLICE("bsol"), '\\'},
    {SLICE("rsqb"), ']'},   {SLICE("rbrack"), ']'},   {SLICE("Hat"), '^'},
    {SLICE("lowbar"), '_'}, {SLICE("grave"), '`'},    {SLICE("lcub"), '{'},
    {SLICE("verbar"), '|'}, {SLICE("vert"), '|'},     {SLICE("rcub"), '}'},
};

static void add_utf8(struct buf *out, uint32_t c)
{
    if (c == 0 || c > CODE_POINT_LAST || (c >= 0xd800 && c <= 0xdfff))
        c = REPLACEMENT;
    if (c < 0x80) {
        buf_addc(out, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    buf_addc(out, (char)(leads[more] | c >> 6 * more));
    while (more--)
        buf_addc(out, (char)(0x80 | (c >> 6 * more & 0x3f)));
}

static int digit_value(char c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "&#10;", "&#xa;", the semicolon is optional. Its length, or 0 when it is none. */
static size_t decode_number(struct slice s, struct buf *out)
{
    unsigned base = s.n > 2 && (s.p[2] | 0x20) == 'x' ? 16 : 10;
    size_t first = base == 16 ? 3 : 2, i = first;
    uint32_t c = 0;

    for (int d; i < s.n && (d = digit_value(s.p[i], base)) >= 0; i++)
        if (c <= CODE_POINT_LAST)
            c = c * base + (uint32_t)d;
    if (i == first)
        return 0;
    add_utf8(out, c);
    return i < s.n && s.p[i] == ';' ? i + 1 : i;
}

/* Only with its semicolon: "?a=1&lt=2" is a query. */
static size_t decode_name(struct slice s, struct buf *out)
{
    struct slice name = slice_to(slice_from(s, 1), REFERENCE_MAX);
    size_t end = slice_find(name, ';');

    for (size_t i = 0; end < name.n && i < sizeof references / sizeof references[0]; i++) {
        if (slice_eq(references[i].name, slice_to(name, end))) {
            buf_addc(out, references[i].c);
            return end + 2;
        }
    }
    return 0;
}

void html_decode(struct slice value, struct buf *out)
{
    while (value.n) {
        size_t plain = slice_find(value, '&');
        buf_add(out, slice_to(value, plain));
        value = slice_from(value, plain);
        if (!value.n)
            return;
        bool is_number = value.n > 1 && value.p[1] == '#';
        size_t n = is_number ? decode_number(value, out) : decode_name(value, out);
        if (n == 0) {
            buf_addc(out, '&');
            n = 1;
        }
        value = slice_from(value, n);
    }
}

void html_encode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '&')
            buf_add(out, SLICE("&amp;"));
        else if (c == '"')
            buf_add(out, SLICE("&quot;"));
        else if (c == '<')
            buf_add(out, SLICE("&lt;"));
        else if (c == '>')
            buf_add(out, SLICE("&gt;"));
        else
            buf_addc(out, c);
    }
}
