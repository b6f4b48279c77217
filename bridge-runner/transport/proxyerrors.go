// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func proxyFailed(err error, format string, args ...any) *Error {
	return &Error{v1alpha1.ReasonProxyFailed, fmt.Sprintf(format, args...), err}
}

// proxyUnreachable explains why the connection to the proxy failed.
func proxyUnreachable(ctx context.Context, proxy string, err error) *Error {
	var dns *net.DNSError
	why := CauseText(err) + "; check routes and network policies"
	switch {
	case errors.As(err, &dns):
		why = fmt.Sprintf("its name cannot be resolved (%s); check proxy.url and the cluster's DNS", dnsCause(dns))
	case TimedOut(ctx, err):
		why = "no connection within connectTimeoutSeconds; check proxy.url, and that no firewall or network policy drops the packets"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused; check proxy.url, and that the proxy runs"
	}
	return proxyFailed(err, "the proxy %s cannot be reached: %s", proxy, why)
}

// proxyNoResponse explains why the proxy did not respond.
func proxyNoResponse(ctx context.Context, proxy string, err error) *Error {
	switch {
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, fmt.Sprintf("the proxy %s does not connect to the server within connectTimeoutSeconds; check the scheme and port of proxy.url, and that the proxy can reach the URL's host and port", proxy), err}
	case Closed(err):
		return proxyFailed(err, "the proxy %s closed the connection instead of answering; check the scheme and port of proxy.url, and the proxy's log", proxy)
	}
	return proxyFailed(err, "the connection to the proxy %s fails: %s; see the proxy's log", proxy, CauseText(err))
}

// notAProxy explains that the program at the proxy's address speaks another protocol.
func notAProxy(proxy *url.URL, err error) *Error {
	protocol := "SOCKS5"
	if proxy.Scheme == "http" {
		protocol = "HTTP"
	}
	return proxyFailed(err, "the proxy %s does not speak %s; check the scheme and port of proxy.url", proxy.Host, protocol)
}

// refusedLogin explains that the proxy requires a login, or refuses the given one.
func refusedLogin(proxy *url.URL, err error) *Error {
	if proxy.User == nil {
		return proxyFailed(err, "the proxy %s requires a login; name a Secret with username and password in proxy.credentials.secretRef", proxy.Host)
	}
	return proxyFailed(err, "the proxy %s refuses the user name or password; check the Secret in proxy.credentials.secretRef", proxy.Host)
}

// socksError explains the reply of a SOCKS5 proxy (RFC 1928 section 6). The library reports it only
// as text.
func socksError(ctx context.Context, cfg *Config, err error) *Error {
	text := strings.TrimPrefix(CauseText(err), "unknown error ")
	server := func(reason, cause string) *Error {
		return &Error{reason, fmt.Sprintf("the proxy %s cannot connect to the server: %s; check that the proxy can reach the URL's host and port", cfg.Proxy.Host, cause), err}
	}
	switch text {
	case "no acceptable authentication methods", "username/password authentication failed":
		return refusedLogin(cfg.Proxy, err)
	case "connection refused":
		return server(v1alpha1.ReasonConnectionRefused, "connection refused")
	case "network unreachable":
		return server(v1alpha1.ReasonHostUnreachable, "network unreachable")
	case "host unreachable":
		return server(v1alpha1.ReasonHostUnreachable, "the host is unreachable, or its name cannot be resolved")
	case "TTL expired":
		return server(v1alpha1.ReasonHostUnreachable, "TTL expired in transit")
	case "general SOCKS server failure":
		return proxyFailed(err, "the proxy %s cannot connect to the server (general SOCKS server failure); check that the proxy can reach the URL's host and port, and see the proxy's log", cfg.Proxy.Host)
	case "connection not allowed by ruleset":
		return proxyFailed(err, "the proxy %s forbids the connection; allow %s in the proxy's rules", cfg.Proxy.Host, cfg.HostPort)
	}
	switch {
	case strings.HasPrefix(text, "unexpected protocol version"):
		return notAProxy(cfg.Proxy, err)
	case TimedOut(ctx, err), Closed(err):
		return proxyNoResponse(ctx, cfg.Proxy.Host, err)
	}
	return proxyFailed(err, "the proxy %s does not connect to the server: %s; see the proxy's log", cfg.Proxy.Host, text)
}

// connectRefused explains an HTTP proxy's refusal.
func connectRefused(cfg *Config, response *head) *Error {
	code := response.code
	status := httpStatus(code)
	switch {
	case code == http.StatusProxyAuthRequired, code == http.StatusUnauthorized: // tinyproxy sends 401 for a wrong login
		if scheme := otherScheme(response); scheme != "" {
			return proxyFailed(errors.New(status), "the proxy %s requires a login by %s, and the bridge supports only Basic; allow Basic for this client, or allow the connection without a login", cfg.Proxy.Host, scheme)
		}
		return refusedLogin(cfg.Proxy, errors.New(status))
	case code == http.StatusForbidden:
		return proxyFailed(nil, "the proxy %s forbids the connection (%s); allow CONNECT to %s in the proxy's rules", cfg.Proxy.Host, status, cfg.HostPort)
	case code >= http.StatusInternalServerError:
		return proxyFailed(nil, "the proxy %s cannot connect to the server (%s); check that the proxy can reach the URL's host and port, and see the proxy's log", cfg.Proxy.Host, status)
	}
	return proxyFailed(nil, "the proxy %s refuses the connection (%s); check that proxy.url names a proxy that allows CONNECT", cfg.Proxy.Host, status)
}

// httpStatus returns a status code with its standard text. It does not use the text that the server
// sent, which may be anything.
func httpStatus(code int) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", code, http.StatusText(code)))
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
