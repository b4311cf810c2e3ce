vcl 4.1;

backend default { .host = "127.0.0.1"; .port = "$upstream_port"; .max_connections = 1000; }

sub vcl_backend_response {
  if (beresp.status == 200) {
    set beresp.ttl = 2h;
    set beresp.grace = 24h;
  }
}
