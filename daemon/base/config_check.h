#ifndef YT_BASE_CONFIG_CHECK_H
#define YT_BASE_CONFIG_CHECK_H

#include "base/config.h"
#include "config_value.h"

/* Adds the faults that no value has alone: what is given twice, or does not fit together. */
void config_check(const struct config_reader *r, const struct yaml_node *root,
                  const struct config *config);

#endif
