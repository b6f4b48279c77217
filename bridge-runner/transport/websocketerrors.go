// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// errLongHead is an answer to the upgrade that does not end.
var errLongHead = fmt.Errorf("the head of its answer is longer than %d bytes", maxHead)

// upgradeError explains why the server did not upgrade to WebSocket.
func upgradeError(ctx context.Context, cfg *Config, answer *http.Response, err error) *Error {
	refused := func(format string, args ...any) *Error {
		return &Error{v1alpha1.ReasonWebSocketRefused, fmt.Sprintf(format, args...), err}
	}
	switch {
	case answer != nil && errors.Is(err, websocket.ErrBadHandshake):
		return refused("the server refuses the WebSocket connection (%s); %s", httpStatus(answer.StatusCode), upgradeHint(cfg, answer.StatusCode))
	case Alert(err) != nil:
		return Alert(err)
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server accepted the connection and did not answer the WebSocket upgrade within connectTimeoutSeconds", err}
	case Closed(err):
		return refused("the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log")
	case strings.Contains(err.Error(), "malformed HTTP"):
		return refused("the server does not speak HTTP there; check the URL's scheme and port")
	}
	return refused("the server's answer to the WebSocket upgrade is not one: %s; check the URL's scheme, port and path", Cause(err))
}

func upgradeHint(cfg *Config, code int) string {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "check what it asks for before MQTT's own login: a client certificate in tls.certSecretRef, or a token in the URL's query"
	case code/100 == 3:
		return "it redirects, which is not followed; write the URL that it redirects to"
	case code >= http.StatusInternalServerError:
		return "look at its log, or at that of the proxy in front of it"
	case cfg.Path == "" || cfg.Path == "/":
		return "check the URL's path: it has none, and many servers want /mqtt"
	}
	return "check the URL's path"
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
