// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Window is a recurring time window.
type Window struct {
	// schedule is when the window opens, in the five fields of cron: minute, hour, day of
	// month, month, day of week. For example, "0 2 * * 6" is every Saturday at 02:00.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9*?,/-]+ +[0-9*?,/-]+ +[0-9*?,/-]+ +([0-9*?,/-]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))+ +([0-9*?,/-]|(?i:sun|mon|tue|wed|thu|fri|sat))+$')",reason=FieldValueInvalid,message="schedule must consist of the five fields of cron: minute, hour, day of month, month and day of week, as in '0 2 * * 6'"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(([^ ]*[,-])?([6-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(2[4-9]|[3-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(0+[-,/ ]|3[2-9]|[4-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(0+[-,/ ]|1[3-9]|[2-9][0-9]|[0-9]{3,})|[^ ]+ +([^ ]*[,-])?([7-9]|[0-9]{2,})))))')",reason=FieldValueInvalid,message="a value of schedule is outside its field: minutes are from 0 to 59, hours from 0 to 23, days of the month from 1 to 31, months from 1 to 12, and days of the week from 0 (Sunday) to 6"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^ ]+ +[^ ]+ +((30|31|30[-,]31|31,30) +(0?2|(?i:feb))|31 +(0?[2469]|11|(?i:feb|apr|jun|sep|nov))(,(0?[2469]|11|(?i:feb|apr|jun|sep|nov)))*) +[*?]$')",reason=FieldValueInvalid,message="the window never opens, because no month of schedule has the day; choose a day that the month has, as in '0 2 28 2 *'"
	Schedule string `json:"schedule,omitempty"`

	// durationMinutes is the time in minutes, from 1 to 10080 (one week), for which the
	// window stays open.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10080
	DurationMinutes int32 `json:"durationMinutes,omitempty"`
}

// TimeZone is a name of the IANA time zone database, such as Europe/Berlin.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local' && timestamp('2026-01-01T00:00:00Z').getFullYear(self) > 0",reason=FieldValueInvalid,message="the time zone must be a name of the IANA time zone database, such as Europe/Berlin or UTC"
type TimeZone string
