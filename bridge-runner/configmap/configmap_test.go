// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
)

// The tests with an API server are in package controllers, because they need the rights that the
// operator grants.

func TestWatcher_APIServerDown_TriesAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w, err := New(&rest.Config{
			Host: "http://api.example",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				attempts++
				return nil, errors.New("no route to host")
			},
		}, "default", "plant-bridge", "bridge.yaml", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		w.Run(ctx, func([]byte) { t.Error("a manifest was delivered") })
		// Five attempts until the pause has reached its maximum of 30 to 60 seconds.
		if low, high := 3600/60, 5+3600/30; attempts < low || attempts > high {
			t.Errorf("%d attempts in an hour; want from %d to %d", attempts, low, high)
		}
	})
}
