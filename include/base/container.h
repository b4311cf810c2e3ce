/* From a member to the struct around it, with the type checked. */
#ifndef YT_BASE_CONTAINER_H
#define YT_BASE_CONTAINER_H

#include <stddef.h>

#define container_of(ptr, type, member)                                                            \
    __extension__({                                                                                \
        __typeof__(((type *)0)->member) *container_ptr_ = (ptr);                                   \
        (type *)(void *)((char *)container_ptr_ - offsetof(type, member));                         \
    })

#endif
