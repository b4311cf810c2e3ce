/* The two clocks. All reads are cheap (vDSO); the pure floors never call them, they are given
 * times. */
#ifndef YT_BASE_CLOCK_H
#define YT_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start; never steps back. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* The same as of the kernel's last tick, up to 10 ms ago, for less: for deadlines. */
int64_t clock_tick_ms(void);
/* Milliseconds since 1970-01-01 UTC. For what is stored or shown. */
int64_t clock_wall_ms(void);
/* Whole seconds of it as of the kernel's last tick: for what is shown in seconds. */
int64_t clock_wall_s(void);

#endif
