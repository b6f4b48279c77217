// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeanwhile_WorkThatIsLong_ShowsOnce(t *testing.T) {
	failed := errors.New("failed")
	for _, long := range []bool{true, false} {
		shown := make(chan struct{}, 2)
		longerThan := time.Hour
		if long {
			longerThan = 0
		}
		err := meanwhile(func() error {
			if long {
				<-shown // ends only after show
			}
			return failed
		}, longerThan, func() { shown <- struct{}{} })
		if !errors.Is(err, failed) || len(shown) != 0 {
			t.Errorf("long %t: error %v, shown %d times more", long, err, len(shown))
		}
	}
}

func TestCheckMachine_NoLocalCluster_NamesTheAlternatives(t *testing.T) {
	for _, c := range []struct {
		context, system string
		user            int
		ok              bool
	}{
		{"", "linux", 0, true},
		{"", "linux", 1000, false},
		{"", "darwin", 0, false},
		{"kind-kind", "darwin", 501, true},
	} {
		err := checkMachine(c.context, c.system, c.user)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
		for _, remedy := range []string{"as root", "CONTEXT=", "make try"} {
			if err != nil && !strings.Contains(err.Error(), remedy) {
				t.Errorf("%+v: the error does not mention %q: %v", c, remedy, err)
			}
		}
	}
}

func TestCleanUp_StepThatTakesLong_LeavesTimeForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		removed := false
		s.onCleanUp("the operator", func(ctx context.Context) error {
			removed = ctx.Err() == nil
			return ctx.Err()
		})
		s.onCleanUp("the namespace", func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("signal: killed")
		})
		err := s.cleanUp(t.Context())
		if !removed {
			t.Error("the operator is not removed")
		}
		if err == nil || !strings.Contains(err.Error(), "the namespace is not removed after "+clearTimeout.String()) || strings.Contains(err.Error(), "operator") {
			t.Errorf("the error is %v", err)
		}
	})
}
