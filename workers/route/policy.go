package route

import "time"

// Policy is what one app decides for all its messages. The zero value shows the text, lets each device decide for
// itself and limits nothing.
type Policy struct {
	Privacy       bool          // phones show "New message" and no content
	AnyForeground bool          // one device in the foreground silences the user's others
	Rate          float64       // pushes a second and process in their own lane; above it they go to bulk; 0 = no limit
	ServiceWait   time.Duration // how long a device's own service has to acknowledge before the fallback goes out; 0 = 10 s
}

// serviceWait is the ServiceWait of a policy that names none.
const serviceWait = 10 * time.Second
