// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mosquitto

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// ofListener are the options that describe listeners. Each belongs to the listener or port before it;
// before the first one, it belongs to the default listener.
var ofListener = map[string]bool{"listener": true, "port": true, "protocol": true, "certfile": true, "mount_point": true}

// listener is a listener of the broker.
type listener struct {
	port       string
	line       int
	webSocket  bool
	tls        bool
	mountPoint *tree.Field
	unusable   bool // a Unix socket, or no listener of MQTT
}

// scheme returns the scheme of the listener's URL.
func (l *listener) scheme() string {
	switch {
	case l.webSocket && l.tls:
		return "wss"
	case l.webSocket:
		return "ws"
	case l.tls:
		return "mqtts"
	}
	return "mqtt"
}

// listenersOf returns the listeners in the options of the broker.
func listenersOf(broker *tree.Value) []*listener {
	var out []*listener
	open := false // whether the last listener is the default one, and its port may follow
	last := func() *listener {
		if len(out) == 0 {
			out, open = append(out, &listener{port: "1883"}), true
		}
		return out[len(out)-1]
	}
	for _, f := range broker.Fields {
		word := firstWord(f)
		switch f.Key {
		case "listener", "port":
			if f.Key == "listener" || !open {
				out = append(out, &listener{})
			}
			l := last()
			l.port, l.line, l.unusable, open = draft.PortOf(word), f.Line, word == "0", false
		case "protocol":
			l := last()
			l.webSocket = word == "websockets"
			l.unusable = l.unusable || word == "http_api"
		case "certfile":
			last().tls = true
		case "mount_point":
			last().mountPoint = f
		}
	}
	return slices.DeleteFunc(out, func(l *listener) bool { return l.unusable })
}

// firstWord returns the first word of an option's value, which has at least one.
func firstWord(f *tree.Field) string { return strings.Fields(f.Value.Text)[0] }

// setLocal sets the local server from the listeners of the broker: the first one without a mount
// point, if possible without WebSocket and without TLS.
func (i importer) setLocal(broker *tree.Value) {
	listeners := listenersOf(broker)
	if len(listeners) == 0 {
		i.SetLocal("mqtt", "", i.Line)
		return
	}
	drawbacks := func(l *listener) int {
		n := 0
		for bit, drawback := range []bool{l.tls, l.webSocket, l.mountPoint != nil} {
			if drawback {
				n += 1 << bit
			}
		}
		return n
	}
	l := slices.MinFunc(listeners, func(x, y *listener) int { return drawbacks(x) - drawbacks(y) })
	i.SetLocal(l.scheme(), l.port, cmp.Or(l.line, i.Line))
	if f := l.mountPoint; f != nil {
		i.Note(f.Line, f.Key, "it applies to the topics of the bridge, because the bridge connects to this listener as a client; use a listener without it, or write the topics without the mount point")
	}
}
