// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// FollowLog calls fn for each line that the running broker has written to its log, and for those that it
// writes until the test ends. The lines come in order, within some milliseconds.
func (b *Broker) FollowLog(fn func(at time.Time, line string)) {
	b.t.Helper()
	file, err := os.Open(b.process.log)
	if err != nil {
		b.t.Fatal(err)
	}
	stop := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		in, partial := bufio.NewReader(file), ""
		for {
			text, err := in.ReadString('\n')
			partial += text
			if err == nil {
				fn(time.Now(), strings.TrimSuffix(partial, "\n"))
				partial = ""
				continue
			}
			if !errors.Is(err, io.EOF) {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(pollInterval / 2):
			}
		}
	})
	b.t.Cleanup(func() {
		close(stop)
		following.Wait()
		_ = file.Close()
	})
}
