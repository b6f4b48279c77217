// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"math"
	"regexp"
	"strconv"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxExpiry is the longest session expiry other than Never, in seconds. The next number means
// that the session does not expire (MQTT 5 section 3.1.2.11.2).
const maxExpiry = math.MaxUint32 - 1

var expiry = regexp.MustCompile(`^(?:(\d{1,10})h)?(?:(\d{1,10})m)?(?:(\d{1,10})s)?$`)

// ParseSessionExpiry returns the session expiry interval of MQTT 5, in seconds. It is
// 4294967295 for Never.
func ParseSessionExpiry(e v1alpha1.SessionExpiry) (uint32, error) {
	if e == v1alpha1.SessionExpiryNever {
		return math.MaxUint32, nil
	}
	var seconds int64
	if m := expiry.FindStringSubmatch(string(e)); m != nil {
		for i, unit := range []int64{3600, 60, 1} {
			n, _ := strconv.ParseInt("0"+m[i+1], 10, 64) // at most 10 digits, or none
			seconds += n * unit
		}
	}
	if seconds < 1 || seconds > maxExpiry {
		return 0, errors.New("sessionExpiry must be Never, or a time from 1s to 1193046h28m14s in whole hours, minutes and seconds, as in 72h or 1h30m")
	}
	return uint32(seconds), nil
}
