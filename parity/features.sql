-- Rules 3 to 5 of basket.Materializer for the last order, in SQL. The number of a row
-- among those of equal time is not defined here.
create table rows as
with price as (
  select sum(coalesce(case when isnan(price) then null else price end, 0)) / count(case when isnan(price) then null else price end) as mean
  from (select price::double as price from inventory)
),
habits as (select user_id, list(distinct variant_id) as variants from regulars where variant_id is not null group by user_id),
facts as (
  select user_id, created_at, len(ordered_items) as items,
         coalesce(len(list_intersect(list_filter(ordered_items, lambda v: v is not null), variants)), 0) as regulars,
         rank() over same_user as first_rank,
         count(*) over (partition by user_id, created_at) as same_time
  from orders left join habits using (user_id)
  window same_user as (partition by user_id order by created_at)
),
placed as (select *, (first_rank + (first_rank + same_time - 1)) // 2 as place from facts)
select own.user_id, own.created_at,
       prior.items * (select mean from price) as prior_basket_value,
       prior.items::double as prior_item_count,
       prior.regulars::double as prior_regulars_count,
       own.regulars::double as regulars_count
from placed own join placed prior on prior.user_id = own.user_id and prior.place = own.place - 1;
