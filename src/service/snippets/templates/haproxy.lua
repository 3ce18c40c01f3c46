-- Asks Gatefort about each request: the `http-request lua.gatefort` action of haproxy.cfg.
--
--     http-request lua.gatefort URL HEADER,HEADER,...      (`-` for no header)
--
-- Marks a request that may pass with `txn.gatefort_allow` and gives it those headers of Gatefort's answer; answers
-- the client itself otherwise. Needs nothing but HAProxy 2.6: no Lua library.
--
-- {{written}}

-- Gatefort answers within its own `deadline` ({{deadline}}), with a reason; only a dead one takes longer.
local TIMEOUT_MS = {{timeout_ms}}
{{#if haproxy_address}}

-- Where Gatefort listens, in HAProxy's own words.
local ADDRESS = "{{haproxy_address}}"
{{#end}}

-- What belongs to the client's connection or body, not to the question.
local NOT_FORWARDED = {
    ["connection"] = true,
    ["content-length"] = true,
    ["expect"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["proxy-connection"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
}

-- What a denied client gets to see beside the status and the body.
local ANSWERED = { "www-authenticate", "retry-after", "content-type", "cache-control" }

-- The statuses that Gatefort denies with. Any other is not an answer of Gatefort.
local DENIALS = { [400] = true, [401] = true, [403] = true, [503] = true }

-- HAProxy counts values from 0, the client wants them from 1.
local function values(field)
    local list = {}
    local index = 0
    while field[index] ~= nil do
        list[#list + 1] = field[index]
        index = index + 1
    end
    return list
end

local function unavailable(txn)
    local reply = txn:reply({ status = 503, reason = "Service Unavailable" })
    reply:add_header("retry-after", "1")
    reply:add_header("cache-control", "no-store")
    txn:done(reply)
end

core.register_action("gatefort", { "http-req" }, function(txn, url, answered)
    local headers = {}
    for name, field in pairs(txn.http:req_get_headers()) do
        if not NOT_FORWARDED[name] then
            headers[name] = values(field)
        end
    end
    -- The original request, in the only words that /forward-auth listens to. haproxy.cfg has deleted the client's.
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
    -- `fhdr` is the whole value: `hdr` would be what follows the last comma, and another host than the application sees.
    headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    headers["x-forwarded-for"] = { txn.sf:src() }

    local answer = core.httpclient():get({ url = url, headers = headers, timeout = TIMEOUT_MS{{haproxy_dst}} })

    if answer == nil or answer.status == nil or answer.status == 0 then
        return unavailable(txn)
    end

    if answer.status == 200 then
        for name in answered:gmatch("[^,]+") do
            local field = answer.headers[name:lower()]
            local value = field and field[0]
            if value ~= nil and value ~= "" then
                txn.http:req_set_header(name, value)
            else
                txn.http:req_del_header(name)
            end
        end
        txn:set_var("txn.gatefort_allow", true)
        return
    end

    if not DENIALS[answer.status] then
        return unavailable(txn)
    end
    local reply = txn:reply({ status = answer.status })
    for _, name in ipairs(ANSWERED) do
        for _, value in ipairs(values(answer.headers[name] or {})) do
            reply:add_header(name, value)
        end
    end
    if answer.body ~= nil then
        reply:set_body(answer.body)
    end
    txn:done(reply)
end, 2)
