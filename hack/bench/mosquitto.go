// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settings are lines of a mosquitto.conf.
type settings strings.Builder

func (s *settings) line(format string, args ...any) {
	fmt.Fprintf((*strings.Builder)(s), format+"\n", args...)
}

func newSettings() *settings {
	s := &settings{}
	s.line("user root\nper_listener_settings true\nlog_dest stderr\nlog_type error\nlog_type warning\npersistence false")
	return s
}

// run starts a Mosquitto with these settings.
func (s *settings) run(name, dir string) (*process, error) {
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, []byte((*strings.Builder)(s).String()), 0o600); err != nil {
		return nil, err
	}
	return start(name, "mosquitto", nil, "-c", file)
}

// broker is a Mosquitto at one end of the bridge, with one plain listener for the load and one
// listener for the bridge.
type broker struct {
	*process
	load, bridge string // addresses
}

const startsWithin = 10 * time.Second

func startBroker(name string, r route, dir string) (*broker, error) {
	forLoad, err := freePort()
	if err != nil {
		return nil, err
	}
	forBridge, err := freePort()
	if err != nil {
		return nil, err
	}
	s := newSettings()
	s.line("max_queued_messages 0\nmax_inflight_messages %d\nset_tcp_nodelay true", r.mosquittoWindow())
	s.line("listener %d 127.0.0.1\nallow_anonymous true", forLoad)
	s.line("listener %d 127.0.0.1\nallow_anonymous true", forBridge)
	if r.tls != nil {
		s.line("certfile %s\nkeyfile %s", r.tls.cert, r.tls.key)
	}
	b := &broker{load: loopback(forLoad), bridge: fmt.Sprintf("localhost:%d", forBridge)}
	if b.process, err = s.run(name, dir); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(startsWithin)
	for {
		c, err := dial(b.load, "bench-ready", level311)
		if err == nil {
			return b, c.conn.Close()
		}
		if ended := b.alive(); ended != nil {
			return nil, ended
		}
		if time.Now().After(deadline) {
			b.stop()
			return nil, fmt.Errorf("%s does not answer: %w", name, err)
		}
		time.Sleep(pollInterval)
	}
}

// startPeer starts a third Mosquitto as the bridge: it subscribes at the local broker and publishes
// to the remote broker. With defaults it keeps Mosquitto's default settings; otherwise it has the
// runner's window and disables Nagle's algorithm.
func startPeer(r route, dir string, defaults bool) (*process, error) {
	port, err := freePort() // without a listener, Mosquitto listens on 1883
	if err != nil {
		return nil, err
	}
	s := newSettings()
	s.line("listener %d 127.0.0.1\nallow_anonymous true", port)
	s.line("max_queued_messages 0") // with the default limit, it drops messages when a backlog builds up
	if !defaults {
		s.line("max_inflight_messages %d\nset_tcp_nodelay true", r.mosquittoWindow())
	}
	version := "mqttv311"
	if r.Protocol == "5" {
		version = "mqttv50"
	}
	side := func(name, address, direction string, clean bool) {
		s.line("connection %s\naddress %s\nremote_clientid bench-%s", name, address, name)
		s.line("topic %s# %s %d", topicPrefix, direction, r.QoS)
		s.line("bridge_protocol_version %s\nkeepalive_interval 10\nrestart_timeout 1\nnotifications false", version)
		// The same as the runner: the source keeps a session, the destination keeps none, and the
		// bridge keeps its own backlog.
		s.line("cleansession %t\nlocal_cleansession false", clean)
		if r.tls != nil {
			s.line("bridge_cafile %s", r.tls.cert)
		}
	}
	side("local", r.local, "in", false)
	side("remote", r.remote, "out", true)
	return s.run("mosquitto bridge", dir)
}
