// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// restartDelay is the time after which a killed program is started again.
const restartDelay = 3 * time.Second

// untilInterrupted continues until the context ends. It starts programs again that the user kills.
func (w *world) untilInterrupted(ctx context.Context, v *view) error {
	v.say("sending continues until Ctrl-C; kill the runner or a remote server, and it starts again after %.0f s:", restartDelay.Seconds())
	primary := w.cloud[0]
	v.print(fmt.Sprintf("\n    kill -9 %d   # %s\n\n", primary.current().cmd.Process.Pid, primary.name))
	ended := map[*server]time.Time{}
	for pause(ctx, refreshInterval) == nil {
		for _, s := range append(w.brokers(), w.runner) {
			switch at, known := ended[s]; {
			case s.current().running():
			case !known:
				v.say("%s has ended", s.name)
				ended[s] = time.Now()
			case time.Since(at) > restartDelay:
				v.say("starting %s again", s.name)
				delete(ended, s)
				if err := s.run(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
