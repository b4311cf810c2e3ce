/* The pages of programs and libraries that only the start has needed. */
#ifndef YT_CLI_START_PAGES_H
#define YT_CLI_START_PAGES_H

/*
 * Unmaps the pages of code and constants that are resident now. They stay in the kernel's page
 * cache; what is needed again is mapped again when it is touched. Once, when the daemon is up: the
 * start of all libraries together touches some 9 MiB, serving about a third of them.
 */
void start_pages_release(void);

#endif
