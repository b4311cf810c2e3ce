/* What the planners share when they say no. */
#ifndef YT_PROTOCOL_REFUSAL_H
#define YT_PROTOCOL_REFUSAL_H

#include "plan.h"

/* Makes the plan a refusal; always true, so that a planner may return it. */
bool plan_refuse(struct plan *plan, enum plan_error error, struct slice detail);

/* An error as plain text, "text: detail"; a long detail is cut. `fields` as in struct plan_page. */
void refusal_text(struct arena *a, int status, const char *text, struct slice detail,
                  struct slice fields, struct plan_page *page);

#endif
