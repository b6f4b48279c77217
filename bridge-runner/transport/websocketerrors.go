// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// upgradeError explains why the server did not upgrade to WebSocket. It does not quote the server's
// response, which may repeat the request with its secrets.
func upgradeError(ctx context.Context, cfg *Config, response *head, err error) *Error {
	refused := func(format string, args ...any) *Error {
		return &Error{v1alpha1.ReasonWebSocketRefused, fmt.Sprintf(format, args...), err}
	}
	switch {
	case response != nil && response.code == http.StatusSwitchingProtocols:
		return refused("the server's response to the WebSocket upgrade is not valid: its WebSocket header fields are missing or wrong; check the URL's path, and the proxy in front of the server")
	case response != nil:
		return refused("the server refuses the WebSocket connection (%s); %s", httpStatus(response.code), upgradeHint(cfg, response))
	case AsAlert(err) != nil:
		return AsAlert(err)
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server accepts the connection but does not respond to the WebSocket upgrade within connectTimeoutSeconds; check the URL's scheme, port and path, and the server's log", err}
	case Closed(err):
		return refused("the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log")
	case errors.Is(err, errIsTLS):
		return refused("the server uses TLS on this port; use wss:// in the URL, or the port of the server's listener without TLS")
	case errors.Is(err, errNotHTTP):
		return refused("the server does not speak HTTP on this port; check the URL's scheme and port")
	case errors.Is(err, errHeadTooLong):
		return refused("the server's response to the WebSocket upgrade is not valid: %s; check the URL's scheme, port and path", errHeadTooLong)
	}
	return refused("the WebSocket upgrade failed; check the URL's scheme, port and path, and the server's log")
}

func upgradeHint(cfg *Config, response *head) string {
	code := response.code
	switch {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && (len(cfg.Header) > 0 || strings.Contains(cfg.Path, "?")):
		return "check the header fields and the query in webSocket and in the URL, the Secrets that webSocket names, and whether the server asks for a client certificate (tls.certSecretRef)"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "the server may require a login before MQTT; set a client certificate in tls.certSecretRef, or a token in webSocket.headers or webSocket.queryFrom"
	case code/100 == 3:
		return redirectHint(cfg, response)
	case code >= http.StatusInternalServerError:
		return "see the log of the server, or of the proxy in front of it"
	case code == http.StatusBadRequest && cfg.TLS == nil:
		return "check the URL's scheme, port and path; if this is a TLS port, use wss:// in the URL"
	case code/100 == 2, code == http.StatusUpgradeRequired:
		return "it responds like a web server; check the URL's path, and that the proxy in front of it forwards the Upgrade header"
	case cfg.Path == "" || strings.HasPrefix(cfg.Path, "/?") || cfg.Path == "/":
		return "the URL has no path; many servers require /mqtt"
	}
	return "check the URL's path"
}

// Limits for a redirect's target in messages, in bytes. A longer part of a path may be a token or a
// random number.
const (
	maxTarget     = 120 // the whole target
	maxTargetPart = 24  // each part of its path
)

// redirectHint returns the target of a redirect, as a URL for the manifest. It omits the query, and
// masks the secrets of the request.
func redirectHint(cfg *Config, response *head) string {
	const hint = "it redirects%s, and the bridge does not follow redirects; set the URL to the target of the redirect"
	location := response.get("location")
	if len(location) == 0 || location[0] == "" {
		return fmt.Sprintf(hint, "")
	}
	target, err := url.Parse(location[0])
	if err == nil {
		var base *url.URL
		if base, err = url.Parse(webSocketURL(cfg)); err == nil {
			target = base.ResolveReference(target)
		}
	}
	schemes := map[string]string{"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
	if err != nil || schemes[target.Scheme] == "" || target.Host == "" {
		return fmt.Sprintf(hint, "")
	}
	parts := strings.Split(cfg.Mask(target.Path), "/")
	for i, part := range parts {
		if len(part) > maxTargetPart {
			parts[i] = v1alpha1.MaskedSecret
		}
	}
	text := schemes[target.Scheme] + "://" + cfg.Mask(target.Host) + strings.Join(parts, "/")
	if len(text) > maxTarget {
		return fmt.Sprintf(hint, "")
	}
	return fmt.Sprintf(hint, fmt.Sprintf(" to %q", text))
}

// webSocketError explains why a read failed. A close frame that reports no error is the end of the
// stream.
func webSocketError(err error) error {
	var closeFrame *websocket.CloseError
	switch {
	case errors.As(err, &closeFrame):
		return closeFrameError(closeFrame)
	case errors.Is(err, websocket.ErrReadLimit), strings.HasPrefix(err.Error(), "websocket: "):
		return &Error{v1alpha1.ReasonProtocolError, "the server sent invalid WebSocket data: " + strings.TrimPrefix(err.Error(), "websocket: ") + "; see the server's log", err}
	}
	return err
}

// closeFrameError returns the meaning of a close frame (RFC 6455 section 7.4.1). It does not use the
// frame's text, which the server may vary.
func closeFrameError(frame *websocket.CloseError) error {
	cause := ""
	switch frame.Code {
	case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
		return io.EOF
	case websocket.CloseAbnormalClosure: // no frame: the library reports the end of the connection by this code
		return io.ErrUnexpectedEOF
	case websocket.CloseProtocolError:
		cause = ": protocol error"
	case websocket.CloseUnsupportedData:
		cause = ": unsupported data"
	case websocket.ClosePolicyViolation:
		cause = ": policy violation; check the server's rules for this client"
	case websocket.CloseMessageTooBig:
		cause = ": message too big; check the server's limits"
	case websocket.CloseInternalServerErr:
		cause = ": internal server error; see the server's log"
	case websocket.CloseServiceRestart, websocket.CloseTryAgainLater:
		cause = ": the server restarts or is overloaded"
	}
	return &Error{v1alpha1.ReasonConnectionClosed, fmt.Sprintf("the server closed the WebSocket connection (code %d%s)", frame.Code, cause), frame}
}
