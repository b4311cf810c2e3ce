#include "file_host.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

static bool has_default_port(const struct http_url *url)
{
    return url->port == (url->https ? HTTPS_PORT : HTTP_PORT);
}

/* Of the same server, as far as host and port tell. */
static bool is_of_upstream(const struct config_upstream *upstream, const struct http_url *url,
                           struct http_url *base)
{
    if (!http_url_parse(slice_str(upstream->url), base) || !slice_ieq(base->host, url->host))
        return false;
    return base->port == url->port || (has_default_port(base) && has_default_port(url));
}

static bool is_listed(const struct config_strings *hosts, const struct http_url *url)
{
    struct slice host;
    unsigned port;

    for (size_t i = 0; i < hosts->n; i++)
        if (http_authority_parse(slice_str(hosts->v[i]), &host, &port) &&
            slice_ieq(host, url->host) && (port == 0 || port == url->port))
            return true;
    return false;
}

bool file_host_is_allowed(const struct config_route *config, const struct http_url *url)
{
    struct http_url base;

    for (size_t i = 0; i < config->upstream_count; i++)
        if (is_of_upstream(&config->upstreams[i], url, &base))
            return true;
    return is_listed(&config->file_hosts, url);
}

struct slice file_host_as_upstream(const struct config_route *config, struct arena *a,
                                   struct slice text)
{
    struct http_url url, base;

    if (!http_url_parse(text, &url))
        return text;
    for (size_t i = 0; i < config->upstream_count; i++) {
        if (!is_of_upstream(&config->upstreams[i], &url, &base))
            continue;
        if (base.https == url.https)
            return text;
        return arena_printf(a, "%s://%.*s%.*s%s%.*s", base.https ? "https" : "http",
                            SLICE_ARG(base.authority), SLICE_ARG(url.path), url.query.p ? "?" : "",
                            SLICE_ARG(url.query));
    }
    return text;
}
