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
	"strings"
	"syscall"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func proxyFailed(err error, format string, args ...any) *Error {
	return &Error{v1alpha1.ReasonProxyFailed, fmt.Sprintf(format, args...), err}
}

// proxyUnreachable explains why there is no connection to the proxy.
func proxyUnreachable(ctx context.Context, proxy string, err error) *Error {
	var dns *net.DNSError
	why := Cause(err) + "; check routes and network policies"
	switch {
	case errors.As(err, &dns):
		why = fmt.Sprintf("its name could not be resolved (%s); check proxy.url and the cluster's DNS", unresolved(dns))
	case TimedOut(ctx, err):
		why = "no connection within connectTimeoutSeconds; check proxy.url, and that no firewall or network policy drops the packets"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused; check proxy.url, and that the proxy runs"
	}
	return proxyFailed(err, "the proxy %s cannot be reached: %s", proxy, why)
}

// proxySilent explains why the proxy has not answered.
func proxySilent(ctx context.Context, proxy string, err error) *Error {
	switch {
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, fmt.Sprintf("the proxy %s did not connect to the server within connectTimeoutSeconds; check the scheme and port of proxy.url, and the URL's host and port as the proxy sees them", proxy), err}
	case Closed(err):
		return proxyFailed(err, "the proxy %s closed the connection instead of answering; check the scheme and port of proxy.url, and the proxy's log", proxy)
	}
	return proxyFailed(err, "the proxy %s failed: %s", proxy, Cause(err))
}

// notAProxy explains that what listens there speaks another protocol.
func notAProxy(proxy *url.URL, err error) *Error {
	what := "SOCKS5"
	if proxy.Scheme == "http" {
		what = "HTTP"
	}
	return proxyFailed(err, "the proxy %s does not speak %s; check the scheme and port of proxy.url", proxy.Host, what)
}

// refusedLogin explains that the proxy wants a login, or another one.
func refusedLogin(proxy *url.URL, err error) *Error {
	if proxy.User == nil {
		return proxyFailed(err, "the proxy %s asks for a login; name a Secret with username and password in proxy.credentials.secretRef", proxy.Host)
	}
	return proxyFailed(err, "the proxy %s refuses the user name or password; check the Secret in proxy.credentials.secretRef", proxy.Host)
}

// socksError explains what a SOCKS5 proxy answered (RFC 1928 section 6). The library
// tells it in words only.
func socksError(ctx context.Context, cfg *Config, err error) *Error {
	text := strings.TrimPrefix(Cause(err), "unknown error ")
	server := func(reason, what string) *Error {
		return &Error{reason, fmt.Sprintf("the proxy %s says about the server: %s; check the URL's host and port as the proxy sees them", cfg.Proxy.Host, what), err}
	}
	switch text {
	case "no acceptable authentication methods", "username/password authentication failed":
		return refusedLogin(cfg.Proxy, err)
	case "connection refused":
		return server(v1alpha1.ReasonConnectionRefused, "connection refused")
	case "network unreachable":
		return server(v1alpha1.ReasonHostUnreachable, "network unreachable")
	case "host unreachable":
		return server(v1alpha1.ReasonHostUnreachable, "host unreachable, or its name not resolved")
	case "TTL expired":
		return server(v1alpha1.ReasonHostUnreachable, "TTL expired on the way")
	case "general SOCKS server failure":
		return proxyFailed(err, "the proxy %s failed to connect to the server (general failure); check the URL's host and port as the proxy sees them, and the proxy's log", cfg.Proxy.Host)
	case "connection not allowed by ruleset":
		return proxyFailed(err, "the proxy %s forbids the connection; allow %s in its rules", cfg.Proxy.Host, cfg.HostPort)
	}
	switch {
	case strings.HasPrefix(text, "unexpected protocol version"):
		return notAProxy(cfg.Proxy, err)
	case TimedOut(ctx, err), Closed(err):
		return proxySilent(ctx, cfg.Proxy.Host, err)
	}
	return proxyFailed(err, "the proxy %s failed: %s", cfg.Proxy.Host, text)
}

// connectRefused explains an HTTP proxy's refusal.
func connectRefused(cfg *Config, answer *head) *Error {
	code := answer.code
	status := httpStatus(code)
	switch {
	case code == http.StatusProxyAuthRequired, code == http.StatusUnauthorized: // tinyproxy's for a wrong login
		if scheme := otherScheme(answer); scheme != "" {
			return proxyFailed(errors.New(status), "the proxy %s asks for a login by %s; the bridge supports Basic only: allow it for this client, or allow the connection without a login", cfg.Proxy.Host, scheme)
		}
		return refusedLogin(cfg.Proxy, errors.New(status))
	case code == http.StatusForbidden:
		return proxyFailed(nil, "the proxy %s forbids the connection (%s); allow CONNECT to %s in its rules", cfg.Proxy.Host, status, cfg.HostPort)
	case code >= http.StatusInternalServerError:
		return proxyFailed(nil, "the proxy %s could not connect to the server (%s); check the URL's host and port as the proxy sees them, and the proxy's log", cfg.Proxy.Host, status)
	}
	return proxyFailed(nil, "the proxy %s refuses the connection (%s); check that proxy.url is that of a proxy that allows CONNECT", cfg.Proxy.Host, status)
}

// httpStatus is a status code with its standard text: that which a server sends may
// be anything.
func httpStatus(code int) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", code, http.StatusText(code)))
}

// otherScheme returns the authentication scheme that a proxy demands if Basic is not
// among those that it offers (RFC 9110 section 11.7.1), else "".
func otherScheme(answer *head) string {
	other := ""
	for _, challenge := range answer.get("proxy-authenticate") {
		for part := range strings.SplitSeq(challenge, ",") {
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
