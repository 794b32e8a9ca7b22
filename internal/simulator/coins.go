package simulator

import "time"

const maxOrders = 1_000 // of a user

// coins are what a user has bought of an app's currency, and the orders.
type coins struct {
	balance, saved, spent int
	orders                map[string]purchase
}

// A purchase is an order of coins or one that was paid in coins.
type purchase struct {
	amount  int
	created time.Time
}

// add notes an order; false if there is one of that number, or no room.
func (c *coins) add(number string, amount int) bool {
	if _, found := c.orders[number]; found || len(c.orders) >= maxOrders {
		return false
	}
	if c.orders == nil {
		c.orders = make(map[string]purchase)
	}
	c.orders[number] = purchase{amount, time.Now()}
	return true
}
