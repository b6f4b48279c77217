// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
)

// proxyError returns an error of the proxy.
func proxyError(cfg *Config, kind Kind, detail string, err error) *Error {
	return &Error{Kind: kind, Proxy: cfg.Proxy.Host, Server: cfg.HostPort, Detail: detail, Err: err}
}

// proxyUnreachable explains why the connection to the proxy failed.
func proxyUnreachable(ctx context.Context, cfg *Config, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return proxyError(cfg, ProxyNameNotResolved, dnsCause(dns), err)
	case TimedOut(ctx, err):
		return proxyError(cfg, ProxyConnectTimeout, "", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return proxyError(cfg, ProxyRefused, "", err)
	}
	return proxyError(cfg, ProxyUnreachable, CauseText(err), err)
}

// proxyNoResponse explains why the proxy did not respond.
func proxyNoResponse(ctx context.Context, cfg *Config, err error) *Error {
	switch {
	case TimedOut(ctx, err):
		return proxyError(cfg, ProxySilent, "", err)
	case Closed(err):
		return proxyError(cfg, ProxyClosed, "", err)
	}
	return proxyError(cfg, ProxyConnectionFailed, CauseText(err), err)
}

// notAProxy explains that the program at the proxy's address speaks another protocol.
func notAProxy(cfg *Config, err error) *Error {
	expected := "SOCKS5"
	if cfg.Proxy.Scheme == "http" {
		expected = "HTTP"
	}
	return proxyError(cfg, ProxyOtherProtocol, expected, err)
}

// refusedLogin explains that the proxy requires a login, or refuses the given one.
func refusedLogin(cfg *Config, err error) *Error {
	if cfg.Proxy.User == nil {
		return proxyError(cfg, ProxyLoginRequired, "", err)
	}
	return proxyError(cfg, ProxyLoginRefused, "", err)
}

// socksError explains the reply of a SOCKS5 proxy (RFC 1928 section 6). The library reports it only
// as text.
func socksError(ctx context.Context, cfg *Config, err error) *Error {
	text := strings.TrimPrefix(CauseText(err), "unknown error ")
	switch text {
	case "no acceptable authentication methods", "username/password authentication failed":
		return refusedLogin(cfg, err)
	case "connection refused":
		return proxyError(cfg, ProxyServerRefused, "", err)
	case "network unreachable":
		return proxyError(cfg, ProxyServerUnreachable, text, err)
	case "host unreachable":
		return proxyError(cfg, ProxyServerUnreachable, "the host is unreachable, or its name cannot be resolved", err)
	case "TTL expired":
		return proxyError(cfg, ProxyServerUnreachable, "TTL expired in transit", err)
	case "general SOCKS server failure":
		return proxyError(cfg, ProxyServerFailed, "", err)
	case "connection not allowed by ruleset":
		return proxyError(cfg, ProxyForbids, "", err)
	}
	switch {
	case strings.HasPrefix(text, "unexpected protocol version"):
		return notAProxy(cfg, err)
	case TimedOut(ctx, err), Closed(err):
		return proxyNoResponse(ctx, cfg, err)
	}
	return proxyError(cfg, ProxyOtherReply, text, err)
}

// connectRefused explains an HTTP proxy's refusal. It does not use the text that the proxy sent, which
// may be anything.
func connectRefused(cfg *Config, response *head) *Error {
	code := response.code
	if code == http.StatusProxyAuthRequired || code == http.StatusUnauthorized { // tinyproxy sends 401 for a wrong login
		if scheme := otherScheme(response); scheme != "" {
			return proxyError(cfg, ProxyLoginUnsupported, scheme, nil)
		}
		return refusedLogin(cfg, nil)
	}
	kind := ProxyRefusesConnect
	switch {
	case code == http.StatusForbidden:
		kind = ProxyForbidsConnect
	case code >= http.StatusInternalServerError:
		kind = ProxyServerFailedHTTP
	}
	failed := proxyError(cfg, kind, "", nil)
	failed.Code = code
	return failed
}

// quotedString matches the value of a parameter, which may contain commas (RFC 9110 section
// 5.6.4).
var quotedString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// otherScheme returns an authentication scheme that a proxy offers if it does not offer Basic
// (RFC 9110 section 11.7.1), else "".
func otherScheme(response *head) string {
	other := ""
	for _, challenge := range response.get("proxy-authenticate") {
		for part := range strings.SplitSeq(quotedString.ReplaceAllString(challenge, ""), ",") {
			scheme, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			for _, known := range []string{"Basic", "Digest", "NTLM", "Negotiate", "Bearer"} {
				switch {
				case !strings.EqualFold(scheme, known):
				case known == "Basic":
					return ""
				case other == "":
					other = known
				}
			}
		}
	}
	return other
}
