-- Asks Gatefort about each request: `LuaHookAccessChecker gatefort.lua ask` of gatefort.conf.
--
-- Marks a request that may pass with `gatefort_allow` and gives it the headers of Gatefort's answer; answers the
-- client itself otherwise. The body stays unread. Needs LuaSocket (Debian: lua-socket): Apache's Lua opens no
-- connections of its own.
{{#if tls_ca}}
-- For TLS it needs LuaSec, too (Debian: lua-sec).
{{#end}}
--
-- {{written}}

{{#if unix}}
local unix = require("socket.unix")

-- Gatefort's socket.
local SOCKET = "{{unix}}"
{{#end}}
{{#unless unix}}
local socket = require("socket")

-- Gatefort. A name is looked up for every request, for as long as the system's resolver takes: prefer an address.
local HOST, PORT = "{{gatefort_host}}", {{gatefort_port}}
{{#end}}

{{#if tls_ca}}
local ssl = require("ssl")

-- Whom it trusts to be Gatefort, and by which name.
local NAME = "{{tls_name}}"
local TLS = {
    mode = "client",
    protocol = "any",
    options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1" },
    verify = "peer",
    cafile = "{{tls_ca}}",
{{#end}}
{{#if tls_cert}}
    certificate = "{{tls_cert}}",
    key = "{{tls_key}}",
{{#end}}
{{#if tls_ca}}
}

{{#end}}
-- To connect, and to hand over the question, in seconds.
local CONNECT_S = 1
-- Gatefort answers within its own `deadline` ({{deadline}}), with a reason; only a dead one takes longer.
local TIMEOUT_S = {{timeout_s}}
-- An answer is identity headers and some hundred bytes.
local MAX_ANSWER = {{answer_twice}} * 1024

-- Every header that Gatefort's answer has for the application, empty where there is no value.
local FOR_APPLICATION = {
    "{{answered.name}}",
}

-- What `Connection` must not name: Apache would drop that header on its way to the application, after Gatefort has set it.
local NOT_HOP_BY_HOP = {
    ["{{identity.lower}}"] = true,
}

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

-- What a denied client gets to see beside the status, the type and the body.
local ANSWERED = { "WWW-Authenticate", "Retry-After", "Cache-Control" }

-- The statuses that Gatefort denies with. Any other is not an answer of Gatefort.
local DENIALS = { [400] = true, [401] = true, [403] = true, [503] = true }

local function answer_client(r, status, fields, body)
    r.status = status
    r.content_type = fields["content-type"] or "text/plain"
    for _, name in ipairs(ANSWERED) do
        local value = fields[name:lower()]
        if value then
            r.err_headers_out[name] = value
        end
    end
    r:puts(body)
    return apache2.DONE
end

local function unavailable(r, why)
    r:err("gatefort: " .. why)
    return answer_client(r, 503, { ["retry-after"] = "1", ["cache-control"] = "no-store" }, "")
end

-- The question; nil if the request has what would end a line of it.
local function question(r)
    local lines = { "GET /forward-auth HTTP/1.1", "Host: gatefort", "Connection: close" }
    local sound = true
    local function say(name, value)
        sound = sound and not value:find("[\r\n\0]")
        lines[#lines + 1] = name .. ": " .. value
    end
    -- The original request is told in words that only this script may say, whatever gatefort.conf unsets.
    for name, value in pairs(r:headers_in_table()) do
        name = name:lower()
        if not NOT_FORWARDED[name] and not name:find("^x%-forwarded%-") then
            say(name, value)
        end
    end
    -- The target as the client wrote it; of an absolute one (`GET http://app.test/x`), what comes after the host.
    local target = r.unparsed_uri:gsub("^%a[%w+.-]*://[^/?]*", "")
    if target == "" or target:sub(1, 1) == "?" then
        target = "/" .. target
    end
    say("X-Forwarded-Uri", target)
    say("X-Forwarded-Method", r.method)
    say("X-Forwarded-Proto", r.is_https and "https" or "http")
    say("X-Forwarded-Host", r.headers_in["Host"] or "")
    say("X-Forwarded-For", r.useragent_ip)
    return sound and table.concat(lines, "\r\n") .. "\r\n\r\n" or nil
end

{{#if tls_ca}}
-- Speaks TLS from here on: the connection to go on with, and whether it is Gatefort's.
local function secured(connection)
    local secure, why = ssl.wrap(connection, TLS)
    if not secure then
        return connection, false, why
    end
    secure:sni(NAME)
    secure:settimeout(CONNECT_S, "t")
    local done
    done, why = secure:dohandshake()
    if not done then
        return secure, false, why
    end
    -- LuaSec has checked who signed the certificate, and not whom it names.
    local names = secure:getpeercertificate():extensions()["2.5.29.17"]
    for _, name in ipairs(names and names.dNSName or {}) do
        if name:lower() == NAME then
            return secure, true
        end
    end
    return secure, false, "the certificate is for another name"
end

{{#end}}
-- Sends the question on a connection of its own, so that no answer can be another request's. Each step is bounded
-- in time and the answer in length. It ends with the connection.
local function exchange(text)
{{#if unix}}
    local connection = unix.stream()
    connection:settimeout(CONNECT_S, "t")
    local done, why = connection:connect(SOCKET)
{{#end}}
{{#unless unix}}
    local connection = socket.tcp()
    connection:settimeout(CONNECT_S, "t")
    local done, why = connection:connect(HOST, PORT)
{{#end}}
    local whole, answer
{{#if tls_ca}}
    if done then
        connection, done, why = secured(connection)
    end
{{#end}}
    if done then
        done, why = connection:send(text)
    end
    if done then
        connection:settimeout(TIMEOUT_S, "t")
        whole, why, answer = connection:receive(MAX_ANSWER)
    end
    connection:close()
    if whole then
        return nil, "the answer is too long"
    elseif why ~= "closed" then
        return nil, why
    end
    return answer or ""
end

-- The status, the fields by lower-case name, and the body; nil for what is no whole answer.
local function parsed(answer)
    local head, body = answer:match("^(HTTP/1%.1 %d%d%d.-\r\n)\r\n(.*)$")
    if not head then
        return nil
    end
    local fields = {}
    for name, value in head:gmatch("\n([^:%c ]+):[ \t]*(%C*)") do
        name = name:lower()
        fields[name] = fields[name] and fields[name] .. ", " .. value or value
    end
    if tonumber(fields["content-length"]) ~= #body then
        return nil
    end
    return tonumber(head:sub(10, 12)), fields, body
end

function ask(r)
    -- A name with `_` or `.` reads like one with `-` in CGI, WSGI and PHP. Removed, as nginx does.
    for name in pairs(r:headers_in_table()) do
        if name:find("[_.]") then
            r.headers_in[name] = nil
        end
    end
    local hops = (r.headers_in["Connection"] or ""):lower():gsub("[_.]", "-")
    for hop in hops:gmatch("[%w-]+") do
        if NOT_HOP_BY_HOP[hop] then
            return 400
        end
    end

    local text = question(r)
    if not text then
        return 400
    end
    local answer, why = exchange(text)
    if not answer then
        return unavailable(r, why)
    end
    local status, fields, body = parsed(answer)
    if status == 200 then
        for _, name in ipairs(FOR_APPLICATION) do
            local value = fields[name:lower()]
            r.headers_in[name] = value ~= "" and value or nil
        end
        r.subprocess_env["gatefort_allow"] = "1"
        return apache2.OK
    elseif DENIALS[status] then
        return answer_client(r, status, fields, body)
    end
    return unavailable(r, "no answer of Gatefort's: " .. answer:sub(1, 12):gsub("%c", " "))
end
