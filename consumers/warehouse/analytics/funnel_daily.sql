-- Devices that reached each step within the day, each step at or after the step before: AppOpened, then ProductViewed,
-- then AddedToCart, then CheckoutCreated, then OrderCreated or PurchaseCompleted. A device that was in the background
-- and sent no AppOpened that day is not included.
SELECT
    day, app_id,
    sum(funnel.opened) AS opened, sum(funnel.viewed) AS viewed, sum(funnel.added) AS added,
    sum(funnel.checkout) AS checkout, sum(funnel.ordered) AS ordered
FROM tapcart.funnel_daily_by_source AS funnel
GROUP BY day, app_id
