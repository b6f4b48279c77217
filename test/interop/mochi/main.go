// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Mochi is a Mochi MQTT server with default settings, which keeps everything in memory. It accepts
// clients without a login and clients with the login bridge and secret, and refuses subscriptions
// to forbidden/#.
package main

import (
	"bytes"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

func main() {
	address := flag.String("listen", "127.0.0.1:1883", "host:port to listen on")
	flag.Parse()
	if err := serve(*address); err != nil {
		log.Fatal(err)
	}
}

func serve(address string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	server := mqtt.New(&mqtt.Options{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err := server.AddHook(new(rights), nil); err != nil {
		return err
	}
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: address})); err != nil {
		return err
	}
	if err := server.Serve(); err != nil {
		return err
	}
	<-stop
	return server.Close()
}

// rights decides which clients may connect and subscribe.
type rights struct{ mqtt.HookBase }

func (*rights) ID() string { return "rights" }

func (*rights) Provides(hook byte) bool {
	return bytes.IndexByte([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck}, hook) >= 0
}

func (*rights) OnConnectAuthenticate(_ *mqtt.Client, connect packets.Packet) bool {
	c := connect.Connect
	return !c.UsernameFlag || string(c.Username) == "bridge" && string(c.Password) == "secret"
}

func (*rights) OnACLCheck(_ *mqtt.Client, topic string, write bool) bool {
	return write || !strings.HasPrefix(topic, "forbidden/")
}
