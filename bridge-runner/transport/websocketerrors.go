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

// upgradeError explains why the server did not upgrade to WebSocket. It quotes nothing
// of the server's, which may repeat the request with its secrets.
func upgradeError(ctx context.Context, cfg *Config, answer *head, err error) *Error {
	refused := func(format string, args ...any) *Error {
		return &Error{v1alpha1.ReasonWebSocketRefused, fmt.Sprintf(format, args...), err}
	}
	switch {
	case answer != nil && answer.code == http.StatusSwitchingProtocols:
		return refused("the server's answer to the WebSocket upgrade is not one: its header fields for WebSocket are missing or wrong; check the URL's path, and the proxy in front of the server")
	case answer != nil:
		return refused("the server refuses the WebSocket connection (%s); %s", httpStatus(answer.code), upgradeHint(cfg, answer))
	case Alert(err) != nil:
		return Alert(err)
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server accepted the connection and did not answer the WebSocket upgrade within connectTimeoutSeconds", err}
	case Closed(err):
		return refused("the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log")
	case errors.Is(err, errTLSThere):
		return refused("the server speaks TLS there; write wss:// in the URL, or the port of its plain listener")
	case errors.Is(err, errNotHTTP):
		return refused("the server does not speak HTTP there; check the URL's scheme and port")
	case errors.Is(err, errLongHead):
		return refused("the server's answer to the WebSocket upgrade is not one: %s; check the URL's scheme, port and path", errLongHead)
	}
	return refused("the WebSocket upgrade failed; check the URL's scheme, port and path, and the server's log")
}

func upgradeHint(cfg *Config, answer *head) string {
	code := answer.code
	switch {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && (len(cfg.Header) > 0 || strings.Contains(cfg.Path, "?")):
		return "check the header fields and the query in webSocket and in the URL, the Secrets that webSocket names, and whether the server asks for a client certificate (tls.certSecretRef)"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "check what it asks for before MQTT's own login: a client certificate in tls.certSecretRef, or a token in webSocket.headers or webSocket.queryFrom"
	case code/100 == 3:
		return redirectHint(cfg, answer)
	case code >= http.StatusInternalServerError:
		return "look at its log, or at that of the proxy in front of it"
	case code == http.StatusBadRequest && cfg.TLS == nil:
		return "check the URL's scheme, port and path: a TLS port answers so to ws://, which wss:// is for"
	case code/100 == 2, code == http.StatusUpgradeRequired:
		return "it answers as a web server; check the URL's path, and that the proxy in front of it passes the header Upgrade on"
	case cfg.Path == "" || strings.HasPrefix(cfg.Path, "/?") || cfg.Path == "/":
		return "check the URL's path: it has none, and many servers want /mqtt"
	}
	return "check the URL's path"
}

// Bounds of the target of a redirect in messages. A longer part of a path may be a token
// or a random number.
const (
	maxTarget     = 120
	maxTargetPart = 24
)

// redirectHint says where the server redirects to, as a URL for the manifest. Its query
// is left out, and so is what the request had as a secret.
func redirectHint(cfg *Config, answer *head) string {
	const hint = "it redirects%s, which is not followed; write the URL that it redirects to"
	location := answer.get("location")
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
			parts[i] = v1alpha1.Masked
		}
	}
	text := schemes[target.Scheme] + "://" + cfg.Mask(target.Host) + strings.Join(parts, "/")
	if len(text) > maxTarget {
		return fmt.Sprintf(hint, "")
	}
	return fmt.Sprintf(hint, fmt.Sprintf(" to %q", text))
}

// webSocketError explains why nothing more can be read. A close frame that says that
// all is well is the end of the stream.
func webSocketError(err error) error {
	var closeFrame *websocket.CloseError
	switch {
	case errors.As(err, &closeFrame):
		return closeFrameError(closeFrame)
	case errors.Is(err, websocket.ErrReadLimit), strings.HasPrefix(err.Error(), "websocket: "):
		return &Error{v1alpha1.ReasonProtocolError, "what the server sent is not WebSocket: " + strings.TrimPrefix(err.Error(), "websocket: "), err}
	}
	return err
}

// closeFrameError is what a close frame means (RFC 6455 section 7.4.1). Its text is
// the server's, and may be another each time.
func closeFrameError(frame *websocket.CloseError) error {
	why := ""
	switch frame.Code {
	case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
		return io.EOF
	case websocket.CloseAbnormalClosure: // no frame: the library's word for the connection's end
		return io.ErrUnexpectedEOF
	case websocket.CloseProtocolError:
		why = ": protocol error"
	case websocket.CloseUnsupportedData:
		why = ": unsupported data"
	case websocket.ClosePolicyViolation:
		why = ": policy violation; look at the server's rules for this client"
	case websocket.CloseMessageTooBig:
		why = ": message too big; look at the server's limits"
	case websocket.CloseInternalServerErr:
		why = ": internal server error; look at the server's log"
	case websocket.CloseServiceRestart, websocket.CloseTryAgainLater:
		why = ": it restarts or is overloaded"
	}
	return &Error{v1alpha1.ReasonConnectionClosed, fmt.Sprintf("the server closed the WebSocket connection (code %d%s)", frame.Code, why), frame}
}
