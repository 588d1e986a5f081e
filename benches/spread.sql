-- All but about a thousandth of the rows of a PostgreSQL database become those of 999 other tenants; the contacts that are
-- left have 20 last names. References to users are left as they are: nothing here follows them.
set session_replication_role = replica;
begin;
create temp table other as select * from tenant where slug = 'bench';
do $$ begin
  for n in 1..999 loop
    update other set id = gen_random_uuid(), slug = 'bench-' || n;
    insert into tenant select * from other;
  end loop;
end $$;
create temp table place as select substr(slug, 7)::int as n, id from tenant where slug like 'bench-%';
update contact set tenant_id = place.id from place where n = (hashtext(contact.id::text) & 2147483647) % 1000;
update opportunity set tenant_id = place.id from place where n = (hashtext(opportunity.id::text) & 2147483647) % 1000;
update contact set last_name = 'L' || lpad(((hashtext(email) & 2147483647) % 20)::text, 4, '0')
  where tenant_id = (select id from tenant where slug = 'bench');
commit;
vacuum full analyze contact;
vacuum full analyze opportunity;
