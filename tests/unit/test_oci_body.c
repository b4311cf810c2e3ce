#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "daemon/protocol/oci_body.c"

#include "plan.h"

#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"

struct body_case {
    const char *body;
    const char *type;
    enum err want;
};

static const struct body_case manifest_cases[] = {
    {"{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[]}", OCI_INDEX, ERR_OK},
    {"{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\"}", OCI_INDEX " ; charset=x", ERR_OK},
    {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"schemaVersion\":1}}", OCI_MANIFEST,
     ERR_OK},
    {"{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\"}", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":2,\"mediaType\":5}", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":1}", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":\"2\"}", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":2,\"schemaVersion\":2}", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"mediaType\":\"" OCI_INDEX "\"}",
     OCI_INDEX, ERR_CORRUPT},
    {"{\"mediaType\":\"" OCI_MANIFEST "\"}", OCI_MANIFEST, ERR_CORRUPT},
    {"{}", OCI_MANIFEST, ERR_CORRUPT},
    {"[2]", OCI_MANIFEST, ERR_CORRUPT},
    {"2", OCI_MANIFEST, ERR_CORRUPT},
    {"", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":2", OCI_MANIFEST, ERR_CORRUPT},
    {"{\"schemaVersion\":2} x", OCI_MANIFEST, ERR_CORRUPT},
    {"<html>captive portal</html>", OCI_MANIFEST, ERR_CORRUPT},
};

static const struct body_case tags_cases[] = {
    {"{\"name\":\"a\",\"tags\":[\"1\",\"2\"]}", "application/json", ERR_OK},
    {"{\"name\":\"a\",\"tags\":null}", "application/json", ERR_OK},
    {"{\"name\":\"a\",\"tags\":[\"1\",", "application/json", ERR_CORRUPT},
    {"{\"name\":\"a\",\"tags\":{}}", "application/json", ERR_CORRUPT},
    {"{\"name\":\"a\"}", "application/json", ERR_CORRUPT},
    {"{\"child\":{\"tags\":[]}}", "application/json", ERR_CORRUPT},
    {"[]", "application/json", ERR_CORRUPT},
};

static void check_bodies(const struct body_case *cases, size_t n, plan_inspect_f *inspect)
{
    for (size_t i = 0; i < n; i++)
        if (inspect(slice_str(cases[i].body), slice_str(cases[i].type)) != cases[i].want)
            fail_msg("%s as %s", cases[i].body, cases[i].type);
}

static void test_bodies(void **state)
{
    (void)state;
    check_bodies(manifest_cases, sizeof manifest_cases / sizeof manifest_cases[0],
                 oci_inspect_manifest);
    check_bodies(tags_cases, sizeof tags_cases / sizeof tags_cases[0], oci_inspect_tags);
}

static void test_a_manifest_that_nests_too_deep(void **state)
{
    char body[512];
    size_t n = 0;

    (void)state;
    n += (size_t)snprintf(body, sizeof body, "{\"schemaVersion\":2,\"a\":");
    memset(body + n, '[', 100);
    memset(body + n + 100, ']', 100);
    body[n + 200] = '}';
    assert_int_equal(oci_inspect_manifest(slice_of(body, n + 201), SLICE(OCI_INDEX)), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_a_manifest_that_nests_too_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
