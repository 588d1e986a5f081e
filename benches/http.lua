-- One run of wrk: `wrk -s http.lua URL -- OPERATION TARGET TOKEN IDS NAMES`. Prints requests a second, median and 99th
-- percentile in microseconds, and how many answers were no success.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local paths = {
  product = {
    list = "/v1/contacts?filter=last_name%%20%%3D%%20%%22%s%%22",
    contains = "/v1/contacts?filter=contains%%28email%%2C%%22%s%%22%%29",
    search = "/v1/contacts?search=n%05d",
  },
  limit = {
    list = "/v1/contacts?last_name=%s",
    contains = "/v1/contacts?contains=%s",
    search = "/v1/contacts?contains=n%05d@",
  },
}

local aggregate = '{"group_by":["stage_id"],"measures":[{"fn":"count"},{"fn":"sum","field":"amount"}]}'

local function contact()
  local n = math.random(0, 99999999)
  return string.format(
    '{"first_name":"Ann%d","last_name":"L%04d","title":"Head of Purchasing","email":"n%d@example.com",'
      .. '"phone":"+4930%07d","birthday":"1980-04-%02d","source":"fair"}',
    n, n % 1000, n, n % 10000000, n % 28 + 1)
end

local function batch()
  local operations = {}
  for i = 1, 1000 do
    operations[i] = '{"op":"create","data":' .. contact() .. "}"
  end
  return '{"operations":[' .. table.concat(operations, ",") .. "]}"
end

function init(arguments)
  operation, target = arguments[1], arguments[2]
  json = { ["content-type"] = "application/json", authorization = "Bearer " .. arguments[3] }
  math.randomseed(os.time() * 64 + number)
  ids, batches, names = {}, {}, tonumber(arguments[5])
  for id in io.lines(arguments[4]) do
    ids[#ids + 1] = id
  end
  for i = 1, operation == "batch" and 4 or 0 do
    batches[i] = batch()
  end
end

function request()
  if operation == "get" then
    return wrk.format("GET", "/v1/contacts/" .. ids[math.random(#ids)], json)
  elseif operation == "list" then
    return wrk.format("GET", paths[target].list:format(string.format("L%04d", math.random(0, names - 1))), json)
  elseif operation == "contains" then
    return wrk.format("GET", paths[target].contains:format(string.format("%05d@", math.random(0, 9999))), json)
  elseif operation == "search" then
    return wrk.format("GET", paths[target].search:format(math.random(0, 9999)), json)
  elseif operation == "aggregate" then
    return wrk.format("POST", "/v1/opportunities/aggregate", json, aggregate)
  elseif operation == "batch" then
    return wrk.format("POST", "/v1/contacts/batch", json, batches[math.random(#batches)])
  end
  return wrk.format("POST", "/v1/contacts", json, contact())
end

function done(summary, latency)
  local errors = summary.errors
  print("result", summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout)
end
