/* Patterns for paths, as they stand in a configuration. Pure. */
#ifndef YT_PROTOCOL_PATTERN_H
#define YT_PROTOCOL_PATTERN_H

#include "base/slice.h"

/*
 * Does the pattern cover the whole path? Both are cut at '/' into segments; a '/' at the beginning
 * of either may be left out. In a segment an asterisk stands for any bytes, also none, and '?' for
 * one byte; every other byte, '%' too, stands for itself. A segment of exactly two asterisks stands
 * for any number of segments, also none: with "pool", two asterisks and "*.deb" as its segments, a
 * pattern covers /pool/a.deb and /pool/main/a/a.deb.
 */
bool pattern_covers(struct slice pattern, struct slice path);

#endif
