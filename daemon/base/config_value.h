/* The types of configuration values: how each is read and checked, and what the reference says. */
#ifndef YT_BASE_CONFIG_VALUE_H
#define YT_BASE_CONFIG_VALUE_H

#include "base/config.h"
#include "yaml_tree.h"

enum config_kind {
    CONFIG_STRING,        /* char *; NULL when empty, which only a row with the default "" may be */
    CONFIG_NAME,          /* char * */
    CONFIG_PROTOCOL,      /* char *: one of those that the caller knows */
    CONFIG_ADDRESS,       /* char * */
    CONFIG_URL,           /* char * */
    CONFIG_PROXY,         /* char * or NULL */
    CONFIG_FILE,          /* char * or NULL: a path, checked to be readable */
    CONFIG_PASSWORD_FILE, /* char * or NULL: what the file holds */
    CONFIG_PREFIX,        /* char * or NULL: a path below the root, no '/' at its end */
    CONFIG_HOSTS,         /* struct config_strings */
    CONFIG_PATTERNS,      /* struct config_strings */
    CONFIG_BOOL,          /* bool */
    CONFIG_INT,           /* int64_t */
    CONFIG_DURATION,      /* int64_t, milliseconds */
    CONFIG_SIZE,          /* int64_t, bytes */
    CONFIG_ENUM,          /* an enum: index into the choices */
    CONFIG_EITHER,        /* bool: is it the second of the two choices? */
    CONFIG_MAP,
    CONFIG_LIST,
};

/* A row of the table in config_keys.h. */
struct config_key {
    const char *section; /* where the key stands: "" or "log" or "routes[]" */
    const char *name;
    enum config_kind kind;
    size_t offset;        /* of the value within the struct of its section */
    const char *fallback; /* default, as it would be written in the file; NULL: required */
    int64_t min, max;     /* INT, DURATION, SIZE */
    const char *choices;  /* ENUM, EITHER: "error|warn" */
    const char *items;    /* MAP, LIST: the section of the keys within */
    size_t count_offset;  /* LIST: offset of the array's count in the struct of the section */
    size_t item_size;     /* LIST */
    size_t line_offset;   /* LIST: offset of `line` in an item */
    const char *help;
};

struct config_reader {
    struct faults *faults;
    struct arena *arena;                            /* of what the configuration keeps */
    const struct config_protocol *const *protocols; /* ended by NULL */
};

/*
 * Reads a value that is not a MAP or LIST into *at, or adds a fault and leaves *at alone. No fault
 * shows a value: it might be a secret in the wrong place.
 */
void config_read_value(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at);

/* Is it a list of texts? Its default is the empty list. */
bool config_is_texts(enum config_kind kind);

/* Memory that the configuration keeps. Aborts when there is none. */
void *config_zalloc(const struct config_reader *r, size_t n);

/* The type in words, with its bounds, for the reference. */
void config_describe_type(const struct config_key *key, struct buf *out);

#endif
