// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
)

// upgradeError explains why the server did not upgrade to WebSocket. It does not quote the server's
// response, which may repeat the request with its secrets.
func upgradeError(ctx context.Context, cfg *Config, response *head, err error) *Error {
	failed := &Error{Kind: UpgradeFailed, Err: err}
	switch {
	case response != nil && response.code == http.StatusSwitchingProtocols:
		failed.Kind = UpgradeInvalid
	case response != nil:
		failed.Kind, failed.Code = refusedUpgrade(cfg, response.code), response.code
		if failed.Kind == UpgradeRedirected {
			failed.Detail = redirectTarget(cfg, response)
		}
	case AsAlert(err) != nil:
		return AsAlert(err)
	case TimedOut(ctx, err):
		failed.Kind = UpgradeSilent
	case Closed(err):
		failed.Kind = UpgradeClosed
	case errors.Is(err, errIsTLS):
		failed.Kind = UpgradeIsTLS
	case errors.Is(err, errNotHTTP):
		failed.Kind = UpgradeNotHTTP
	case errors.Is(err, errHeadTooLong):
		failed.Kind, failed.Detail = UpgradeHeadTooLong, errHeadTooLong.Error()
	}
	return failed
}

// refusedUpgrade returns the meaning of a response by which the server refuses the upgrade.
func refusedUpgrade(cfg *Config, code int) Kind {
	switch {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && (len(cfg.Header) > 0 || strings.Contains(cfg.Path, "?")):
		return UpgradeLoginRefused
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return UpgradeLoginRequired
	case code/100 == 3:
		return UpgradeRedirected
	case code >= http.StatusInternalServerError:
		return UpgradeServerError
	case code == http.StatusBadRequest && cfg.TLS == nil:
		return UpgradeBadRequestPlain
	case code/100 == 2, code == http.StatusUpgradeRequired:
		return UpgradeByWebServer
	case cfg.Path == "" || strings.HasPrefix(cfg.Path, "/?") || cfg.Path == "/":
		return UpgradeWithoutPath
	}
	return UpgradeRefused
}

// Limits for a redirect's target in messages, in bytes. A longer part of a path may be a token or a
// random number.
const (
	maxTarget     = 120 // the whole target
	maxTargetPart = 24  // each part of its path
)

// redirectTarget returns the target of a redirect, as a URL of a WebSocket server. It omits the query,
// and masks the secrets of the request. It is empty if the target is missing, not valid or too long.
func redirectTarget(cfg *Config, response *head) string {
	location := response.get("location")
	if len(location) == 0 || location[0] == "" {
		return ""
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
		return ""
	}
	parts := strings.Split(cfg.Mask(target.Path), "/")
	for i, part := range parts {
		if len(part) > maxTargetPart {
			parts[i] = MaskedSecret
		}
	}
	text := schemes[target.Scheme] + "://" + cfg.Mask(target.Host) + strings.Join(parts, "/")
	if len(text) > maxTarget {
		return ""
	}
	return text
}

// webSocketError explains why a read failed. A close frame that reports no error is the end of the
// stream.
func webSocketError(err error) error {
	var closeFrame *websocket.CloseError
	switch {
	case errors.As(err, &closeFrame):
		return closeFrameError(closeFrame)
	case errors.Is(err, websocket.ErrReadLimit), strings.HasPrefix(err.Error(), "websocket: "):
		return &Error{Kind: WebSocketInvalid, Detail: strings.TrimPrefix(err.Error(), "websocket: "), Err: err}
	}
	return err
}

// closeFrameError returns the meaning of a close frame (RFC 6455 section 7.4.1). It does not use the
// frame's text, which the server may vary.
func closeFrameError(frame *websocket.CloseError) error {
	switch frame.Code {
	case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
		return io.EOF
	case websocket.CloseAbnormalClosure: // no frame: the library reports the end of the connection by this code
		return io.ErrUnexpectedEOF
	}
	return &Error{Kind: WebSocketClosed, Code: frame.Code, Err: frame}
}
