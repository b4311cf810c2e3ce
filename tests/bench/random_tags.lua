-- For wrk: a manifest under one of the tags t0, t1, ... of a filled store (fill_store.c), another
-- one each time. The script's argument is how many there are.
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("seed", threads)
end

function init(args)
   math.randomseed(seed)
   entries = tonumber(args[1])
end

function request()
   return "GET /v2/library/bench/manifests/t" .. math.random(0, entries - 1) ..
          " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
end
