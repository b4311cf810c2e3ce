#include "refusal.h"

enum { DETAIL_MAX = 4 * 1024 };

bool plan_refuse(struct plan *plan, enum plan_error error, struct slice detail)
{
    plan->kind = PLAN_REFUSED;
    plan->refusal = error;
    plan->refusal_detail = detail;
    return true;
}

void refusal_text(struct arena *a, int status, const char *text, struct slice detail,
                  struct slice fields, struct plan_page *page)
{
    struct slice shown = slice_to(detail, DETAIL_MAX);
    *page = (struct plan_page){
        .status = status,
        .content_type = SLICE("text/plain; charset=utf-8"),
        .body = arena_printf(a, "%s%s%.*s\n", text, shown.n ? ": " : "", SLICE_ARG(shown)),
        .fields = fields,
    };
    if (!page->body.p)
        page->body = SLICE("out of room\n");
}
