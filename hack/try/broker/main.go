// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Broker is an MQTT server for make try: Mochi MQTT, which keeps everything in memory. Before it
// acknowledges a message, it has queued the message for all subscribers, and has written the payload
// as a line to its standard output. The reader of the lines therefore has every message that the
// server has acknowledged, also if the server is killed. The broker ends when its standard input
// ends, so that it does not outlive the program that started it.
package main

import (
	"flag"
	"io"
	"log"
	"log/slog"
	"os"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	address := flag.String("listen", "127.0.0.1:1883", "the `address` (host:port) to listen on")
	username := flag.String("username", "", "the `name` that clients must send; if it is empty, clients need no login")
	flag.Parse()
	if err := serve(*address, login{*username, os.Getenv("BROKER_PASSWORD")}); err != nil {
		log.Fatal(err)
	}
}

// maxQueued is the largest number of messages that wait for a client. Packet identifiers have 16 bits.
const maxQueued = 60_000

func serve(address string, l login) error {
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumInflight, capabilities.MaximumClientWritesPending = maxQueued, maxQueued
	server := mqtt.New(&mqtt.Options{
		Capabilities: capabilities,
		InlineClient: true,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	h := &hook{login: l, received: os.Stdout, publish: server.Publish, establishing: map[string]func(){}}
	if err := server.AddHook(h, nil); err != nil {
		return err
	}
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: address})); err != nil {
		return err
	}
	if err := server.Serve(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return server.Close()
}
