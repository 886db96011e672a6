-- Carts without activity for 24 hours: AddedToCart or CartUpdated events that leave something in the cart, after which
-- the device neither changed its cart again nor ordered (see `orders`) for more than 24 hours. Items, total and
-- currency are the event's. A device that returns and leaves its cart again appears twice.
SELECT day, app_id, device_id, session_id, abandoned_at, items, cart_total, currency_code, environment
FROM tapcart.carts_abandoned_after(hours = 24)
