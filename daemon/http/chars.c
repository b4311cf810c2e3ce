#include "chars.h"

enum {
    T = HTTP_CHAR_TOKEN,
    V = HTTP_CHAR_VALUE,
    U = HTTP_CHAR_TARGET,
    H = HTTP_CHAR_HOST,
    S = HTTP_CHAR_SCHEME,
    D = HTTP_CHAR_DIGIT,
};

const unsigned char http_chars[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | U,
    ['"'] = V | U,
    ['#'] = T | V,
    ['$' ... '\''] = T | V | U,
    ['(' ... ')'] = V | U,
    ['*'] = T | V | U,
    ['+'] = T | V | U | S,
    [','] = V | U,
    ['-' ... '.'] = T | V | U | H | S,
    ['/'] = V | U,
    ['0' ... '9'] = T | V | U | H | S | D,
    [':' ... '@'] = V | U,
    ['A' ... 'Z'] = T | V | U | H | S,
    ['[' ... ']'] = V | U,
    ['^'] = T | V | U,
    ['_'] = T | V | U | H,
    ['`'] = T | V | U,
    ['a' ... 'z'] = T | V | U | H | S,
    ['{'] = V | U,
    ['|'] = T | V | U,
    ['}'] = V | U,
    ['~'] = T | V | U,
    [0x80 ... 0xff] = V,
};
